// SPDX-License-Identifier: Apache-2.0

package privileges

import (
	"errors"
	"fmt"
	"math"
	"os/user"
	"strconv"
	"strings"
)

// User is the user to run as. The zero value means the user who started the process.
type User struct {
	Spec     string // as configured; empty in the zero value
	UID, GID int
}

// Parse parses USER[:GROUP]. USER and GROUP are names or numbers. The default of GROUP is the user's primary group. An
// empty spec results in the zero value.
func Parse(spec string) (User, error) {
	if spec == "" {
		return User{}, nil
	}
	u, err := parse(spec)
	if err != nil {
		return User{}, fmt.Errorf("user %q: %w", spec, err)
	}
	return u, nil
}

func parse(spec string) (User, error) {
	name, group, grouped := strings.Cut(spec, ":")
	if name == "" || grouped && group == "" {
		return User{}, errors.New("must be USER or USER:GROUP, names or numbers")
	}
	u := User{Spec: spec, GID: -1}
	if grouped {
		gid, err := id(group, func() (string, error) {
			g, err := user.LookupGroup(group)
			if err != nil {
				return "", err
			}
			return g.Gid, nil
		})
		if err != nil {
			return User{}, fmt.Errorf("find group: %w", err)
		}
		u.GID = gid
	}
	var account *user.User
	uid, err := id(name, func() (string, error) {
		var err error
		if account, err = user.Lookup(name); err != nil {
			return "", err
		}
		return account.Uid, nil
	})
	if err != nil {
		return User{}, fmt.Errorf("find user: %w", err)
	}
	u.UID = uid
	if grouped {
		return u, nil
	}
	if account == nil {
		if account, err = user.LookupId(name); err != nil {
			return User{}, fmt.Errorf("find the user's group, or name one after a colon: %w", err)
		}
	}
	u.GID, err = number(account.Gid)
	return u, err
}

// id returns the number in text. If text is not a number, it is the name of a user or group, whose id lookup returns.
func id(text string, lookup func() (string, error)) (int, error) {
	if strings.Trim(text, "0123456789") == "" {
		return number(text)
	}
	found, err := lookup()
	if err != nil {
		return 0, err
	}
	return number(found)
}

// number parses a user or group id. The largest 32-bit number is invalid: the kernel reads it as "no change".
func number(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n == math.MaxUint32 {
		return 0, fmt.Errorf("%s is not an id from 0 to %d", text, uint32(math.MaxUint32-1))
	}
	return int(n), nil
}
