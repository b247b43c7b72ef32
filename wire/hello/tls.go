// SPDX-License-Identifier: Apache-2.0

package hello

// TLS contains what the two sides of a TLS handshake have sent in the clear. Fields are nil or zero until the message
// is seen.
type TLS struct {
	ClientHello *ClientHello // the last ClientHello: after a HelloRetryRequest, the second one
	FirstHello  *ClientHello // the ClientHello before a HelloRetryRequest; nil without one
	Retry       *ServerHello // the HelloRetryRequest; nil without one
	ServerHello *ServerHello
	KeyExchange *ServerKeyExchange // TLS 1.2 and older

	ServerCertificate bool // TLS 1.2 and older: the server sent a certificate
	ClientCertificate bool // TLS 1.2 and older: the client sent a certificate
	CertificateAsked  bool // TLS 1.2 and older: the server requested a certificate
	ClientKeyExchange bool // TLS 1.2 and older: the client continued after the server's messages
	Resumed           bool // the ServerHello resumes an earlier session

	Alert *Alert // the alert that ended the handshake
}

// Alert is an alert message.
type Alert struct {
	From        Direction
	Description uint8 // IANA's TLS Alerts registry; 0 if Encrypted
	Encrypted   bool  // TLS 1.3: the message is encrypted, and too short to be anything else
}

// Record types (RFC 8446, 5.1) and handshake types (IANA's TLS HandshakeType registry).
const (
	recordChangeCipherSpec = 20
	recordAlert            = 21
	recordHandshake        = 22
	recordApplicationData  = 23

	messageHelloRequest       = 0
	messageClientHello        = 1
	messageServerHello        = 2
	messageNewSessionTicket   = 4
	messageCertificate        = 11
	messageServerKeyExchange  = 12
	messageCertificateRequest = 13
	messageServerHelloDone    = 14
	messageCertificateVerify  = 15
	messageClientKeyExchange  = 16
	messageCertificateStatus  = 22
	messageSupplementalData   = 23
)

const (
	recordHeader  = 5
	messageHeader = 4
	maxRecord     = 1<<14 + 2048 // RFC 5246, 6.2.3
	alertFatal    = 2
	alertClose    = 0 // close_notify
	version13     = 0x0304

	// encryptedAlert is the size of a TLS 1.3 record with an alert: two bytes, the record's type, and the tag, which is 16
	// bytes long except with TLS_AES_128_CCM_8_SHA256. Handshake messages are always longer, because their header alone
	// has 4 bytes.
	encryptedAlert     = 2 + 1 + 16
	encryptedAlertCCM8 = 2 + 1 + 8
	suiteCCM8          = 0x1305
)

// decodeTLS decodes the complete records of both sides. The server's records are decoded after the ClientHello, because
// their meaning depends on the ClientHello.
func (c *Conn) decodeTLS() {
	for progress := true; progress && c.state == StateOpen; {
		progress = c.decodeRecord(FromClient)
		if c.TLS.ClientHello != nil && c.state == StateOpen {
			progress = c.decodeRecord(FromServer) || progress
		}
	}
}

// decodeRecord decodes one record and reports whether there was one.
func (c *Conn) decodeRecord(d Direction) bool {
	s := &c.sides[d]
	b := s.bytes()[s.read:]
	if len(b) < recordHeader {
		return false
	}
	typ, length := b[0], int(b[3])<<8|int(b[4])
	if typ < recordChangeCipherSpec || typ > recordApplicationData || b[1] != 3 || length > maxRecord {
		c.state = StateMalformed
		return false
	}
	if typ == recordApplicationData && s.protectedRecord(c, d, length) {
		return false
	}
	if len(b) < recordHeader+length {
		return false
	}
	s.read += recordHeader + length
	body := b[recordHeader : recordHeader+length]
	switch typ {
	case recordChangeCipherSpec:
		c.changeCipherSpec(d)
	case recordAlert:
		c.alert(d, body)
	case recordHandshake:
		if length == 0 {
			c.state = StateMalformed // RFC 8446, 5.1 forbids empty records of this type
			return false
		}
		if s.sealed {
			break
		}
		messages := body // nearly always a whole message, which does not need to be copied
		if len(s.messages) > 0 {
			messages = append(s.messages, body...)
		}
		s.messages = append(s.messages[:0], c.decodeMessages(d, messages)...)
	}
	return true
}

// protectedRecord handles the start of a record of application data, which is encrypted. It reports whether the record
// ends the decoding of the connection, else the record is skipped. Records of early data are skipped, because the
// server's answer to the ClientHello is still missing.
func (s *side) protectedRecord(c *Conn, d Direction, length int) bool {
	t := &c.TLS
	switch {
	case t.ServerHello == nil:
		if d == FromServer || t.ClientHello == nil || !t.ClientHello.EarlyData {
			c.state = StateMalformed
			return true
		}
		return false
	case d == FromServer:
		s.sealed = true
		return false // the server's encrypted records are skipped until the client has answered
	case t.ServerHello.Version == version13 && isEncryptedAlert(t.ServerHello.Suite, length) && !t.ClientHello.EarlyData:
		t.Alert = &Alert{From: FromClient, Encrypted: true}
		c.state = StateFailed
		return true
	case t.ClientHello.EarlyData && t.ServerHello.Version == version13:
		return false // the record is early data or the Finished message, which look the same
	}
	c.state = StateComplete
	return true
}

// isEncryptedAlert reports whether an encrypted record of TLS 1.3 can only be an alert.
func isEncryptedAlert(suite uint16, length int) bool {
	if suite == suiteCCM8 {
		return length == encryptedAlertCCM8
	}
	return length == encryptedAlert
}

// changeCipherSpec handles the message after which a side's records are encrypted. In TLS 1.3 this message has no
// meaning.
func (c *Conn) changeCipherSpec(d Direction) {
	t := &c.TLS
	if t.ServerHello == nil || t.ServerHello.Version == version13 {
		return
	}
	c.sides[d].sealed = true
	if d == FromServer && !t.ServerCertificate && t.KeyExchange == nil && !t.ClientKeyExchange {
		t.Resumed = true
	}
	if c.sides[FromClient].sealed && c.sides[FromServer].sealed {
		c.state = StateComplete
	}
}

// alert handles a record with an alert. An alert that is not two bytes long is encrypted, and is ignored.
func (c *Conn) alert(d Direction, body []byte) {
	if len(body) != 2 || c.sides[d].sealed || c.TLS.ClientHello == nil {
		return
	}
	if body[0] != alertFatal && body[1] != alertClose {
		return // a warning, such as unrecognized_name
	}
	c.TLS.Alert = &Alert{From: d, Description: body[1]}
	c.state = StateFailed
}

// decodeMessages decodes the complete handshake messages, and returns the bytes after them.
func (c *Conn) decodeMessages(d Direction, messages []byte) []byte {
	for c.state == StateOpen && !c.sides[d].sealed && len(messages) >= messageHeader {
		if !expected(d, messages[0]) {
			c.state = StateMalformed
			break
		}
		length := int(messages[1])<<16 | int(messages[2])<<8 | int(messages[3])
		if length > MaxBytes {
			c.state = StateTooLong
			break
		}
		if len(messages) < messageHeader+length {
			break
		}
		typ, body := messages[0], messages[messageHeader:messageHeader+length]
		messages = messages[messageHeader+length:]
		if !c.message(d, typ, body) {
			c.state = StateMalformed
		}
	}
	return messages
}

// expected reports whether a side may send a message of that type in the clear.
func expected(d Direction, typ uint8) bool {
	if d == FromClient {
		switch typ {
		case messageClientHello, messageCertificate, messageClientKeyExchange, messageCertificateVerify, messageSupplementalData:
			return true
		}
		return false
	}
	switch typ {
	case messageHelloRequest, messageServerHello, messageCertificate, messageServerKeyExchange, messageCertificateRequest,
		messageServerHelloDone, messageNewSessionTicket, messageCertificateStatus, messageSupplementalData:
		return true
	}
	return false
}

// message decodes an expected handshake message, and reports whether it is well-formed and arrived at a valid time.
func (c *Conn) message(d Direction, typ uint8, body []byte) bool {
	t := &c.TLS
	if d == FromClient {
		switch typ {
		case messageClientHello:
			return c.clientHello(body)
		case messageCertificate:
			t.ClientCertificate = len(body) > 3
		case messageClientKeyExchange:
			t.ClientKeyExchange = true
		}
		return t.ServerHello != nil
	}
	switch typ {
	case messageHelloRequest:
		return true
	case messageServerHello:
		return c.serverHello(body)
	case messageCertificate:
		t.ServerCertificate = len(body) > 3
	case messageServerKeyExchange:
		t.KeyExchange = parseServerKeyExchange(body, t.ServerHello)
	case messageCertificateRequest:
		t.CertificateAsked = true
	}
	return t.ServerHello != nil && t.ServerHello.Version != version13
}

func (c *Conn) clientHello(body []byte) bool {
	t := &c.TLS
	if t.ClientHello != nil && (t.Retry == nil || t.FirstHello != nil) || t.ServerHello != nil {
		return false
	}
	h := parseClientHello(body)
	if h == nil {
		return false
	}
	if t.Retry != nil {
		t.FirstHello = t.ClientHello
	}
	t.ClientHello = h
	return true
}

func (c *Conn) serverHello(body []byte) bool {
	t := &c.TLS
	h := parseServerHello(body)
	switch {
	case h == nil || t.ServerHello != nil:
		return false
	case h.Retry:
		if t.Retry != nil {
			return false
		}
		t.Retry = h
		return true
	case t.Retry != nil && t.FirstHello == nil:
		return false // the client has not answered the retry yet
	}
	t.ServerHello = h
	if h.Version == version13 {
		offered := t.ClientHello.PSKs
		t.Resumed = h.PSK && int(h.SelectedPSK) < len(offered) && offered[h.SelectedPSK].Session
		c.sides[FromServer].sealed = true
	}
	return true
}
