/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Decides which hits are recorded: applies the limits of processes and of their owners. */
#ifndef CRAU_ADMIT_H
#define CRAU_ADMIT_H

/*
 * The number of hits, and of bytes of records, that a run counts by itself before it adds them to the counters of the
 * process and its owner.
 */
#define UNCOUNTED_HITS 31
#define UNCOUNTED_BYTES 4096

/*
 * Adds hits to the process's count for the current second and reports whether the process has exceeded its rate limit.
 */
static __always_inline int over_rate(struct crau_budget *b, __u32 hits, __u64 now)
{
	if (now - b->second >= SECOND) {
		b->second = now;
		b->second_hits = 0;
	}
	b->second_hits += hits;
	return second_limit && b->second_hits > second_limit;
}

/*
 * Returns how many hits a run may count by itself. If the rate limit is low, this number is low too, so that the limit
 * is checked more often.
 */
static __always_inline __u32 max_uncounted_hits(void)
{
	__u32 limit = second_limit ? second_limit >> 16 : UNCOUNTED_HITS;

	return limit < UNCOUNTED_HITS ? limit : UNCOUNTED_HITS;
}

/*
 * Adds the hits and bytes that the run counted for another process to the counters of that process and its owner. The
 * process may have ended, so its budget may be missing.
 */
static __always_inline void count_previous(struct run *r, const struct fill *f)
{
	__u32 tgid = r->tgid;
	struct crau_budget *b = bpf_map_lookup_elem(&processes, &tgid);
	struct crau_owner *owner = find_owner(r->owner);

	if (b) {
		b->second_hits += r->hits;
		charge(&b->share, r->bytes, f);
	}
	if (owner)
		charge(&owner->share, r->bytes, f);
}

/*
 * Checks whether the shares of a process and its owner have room for one more record. of_process and of_owner are the
 * numbers of their unread bytes. Returns CRAU_STAT_SENT, or the reason not to record the hit.
 */
static __always_inline enum crau_stat within_shares(const struct crau_budget *b, __u64 of_process, __u64 of_owner,
						    __u64 now, const struct fill *f)
{
	__u64 unused = free_bytes(b->owner, f);

	if (of_owner < unused * BUSY_PART && of_process <= unused * BUSY_PART - of_owner)
		return CRAU_STAT_SENT;
	if (of_owner < unused * QUIET_PART && of_process <= unused / QUIET && now - b->since >= SECOND)
		return CRAU_STAT_SENT;
	return of_owner < unused * BUSY_PART ? CRAU_STAT_RATE_LIMITED : CRAU_STAT_OWNER_LIMITED;
}

/*
 * The slow path of admit: looks up the process and its owner, adds to them what the run has counted by itself, and
 * applies the limits. Returns the same as admit. It is a separate function so that the fast path need not save
 * registers and reserve stack for it.
 */
static __noinline int admit_slowly(struct run *r, __u64 id, __u64 now)
{
	__u64 current = *(volatile __u64 *)&epoch; /* read before the fields that it validates */
	__u32 tgid = id >> 32, hits = r->hits, bytes = r->bytes;
	enum crau_stat outcome = CRAU_STAT_SENT;
	struct crau_owner *owner;
	struct crau_budget *b;
	__u64 unread;
	struct fill f;

	query_ring(&f);
	check_fill(&f);
	if (r->tgid != tgid) {
		if (bytes && !no_shares)
			count_previous(r, &f);
		hits = bytes = 0;
	}
	r->tgid = 0;
	r->owner = 0;
	r->hits = 0;
	r->bytes = 0;
	r->lost = 0;
	b = current_process(tgid, now);
	if (!b)
		return CRAU_STAT_SENT;
	r->tgid = tgid;
	r->owner = b->owner;
	r->epoch = current;
	r->lost = b->lost;
	if (!no_shares) {
		unread = charge(&b->share, bytes, &f);
		owner = find_owner(b->owner);
		if (owner)
			outcome = within_shares(b, unread, charge(&owner->share, bytes, &f), now, &f);
	}
	if (over_rate(b, hits + 1, now))
		outcome = CRAU_STAT_RATE_LIMITED;
	if (outcome == CRAU_STAT_SENT && !b->announced)
		announce(b, tgid, id, now, &f);
	return outcome;
}

/*
 * Decides whether one more hit of the current process is recorded, and counts the hit. Returns CRAU_STAT_SENT, or the
 * reason not to record the hit. Looking up the state of the process and its owner takes as long as writing a record to
 * the ring, so a run only looks them up every few hits.
 */
static __always_inline int admit(struct run *r, __u64 id, __u64 now)
{
	__u32 hits = r->hits;

	if (r->tgid == id >> 32 && r->epoch == *(volatile __u64 *)&epoch && hits < max_uncounted_hits() &&
	    (no_shares || r->bytes < UNCOUNTED_BYTES)) {
		r->hits = hits + 1;
		return CRAU_STAT_SENT;
	}
	return admit_slowly(r, id, now);
}

#endif
