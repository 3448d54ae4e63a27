/*
 * The DNS automation of bench/incident/dns in Promela: a planner, three enactors and their clean-up.
 * Every d_step is one State.Step of that package (or its State.Plan), so that spin and `leasestorm
 * incident explore` see the same states. scripts/check-enactors compares them.
 *
 *   spin -o2 -a -DPROP=1 scripts/enactors.pml && cc -O1 -DSAFETY -DNOREDUCE -o pan pan.c && ./pan -E
 *
 * -o2 keeps the roll-back records, which nobody reads, in the state. -E, since it is no error that every enactor waits for a plan or is stuck. A violation leaves a trail:
 * spin -t -p -DPROP=1 scripts/enactors.pml prints it as a schedule.
 *
 * The bound: PLANS (30 at most), ENDPOINTS (1 or 2), KEEP.
 * The clean-up: it deletes active trees, or with APPLY_EMPTIED spares them and empties old plans.
 * The mends: FENCING, RECHECK, ACTIVE_CHECK, NONEMPTY_GUARD, ONE_LOCK.
 * The property: PROP=1 no name is ever empty; 2 no roll-back is ever stuck; 3 no stale plan is applied; 0 none, to
 * count the states.
 */
#ifndef PLANS
#define PLANS 4
#endif
#ifndef ENDPOINTS
#define ENDPOINTS 1
#endif
#ifndef KEEP
#define KEEP 1
#endif
#ifndef PROP
#define PROP 0
#endif

#define ENACTORS 3

/* Phases of an enactor. They are numbers: an mtype would count down. */
#define IDLE 0
#define CHECK 1
#define BUILD 2
#define FLIP 3
#define SCAN 4
#define DELETE 5

#ifdef RECHECK
#define FIRST CHECK
#else
#define FIRST BUILD
#endif

#define bit(p) (1 << (p))	/* plans are numbered from 1: bit 0 is never set */

byte newest = 1;		/* plan */
byte alias[ENDPOINTS] = 1;	/* plan of the active tree; 0: none */
byte rollback[ENDPOINTS] = 1;	/* plan of the tree before */
byte applied[ENDPOINTS] = 1;	/* the newest plan that was ever applied */
int trees[ENDPOINTS] = bit(1);	/* plans that have a tree with records */
int emptied;			/* plans that a clean-up has emptied */

byte phase[ENACTORS];
byte at[ENACTORS];		/* endpoint */
byte plan[ENACTORS];
int doomed[ENACTORS];		/* plans whose trees the scan has found */

#define me _pid			/* the enactors are the first processes */
#define e at[_pid]

#define empty(x) (alias[x] == 0 || !(trees[x] & bit(alias[x])))
#define stuck(i) (phase[i] == FLIP && empty(at[i]))

#if ENDPOINTS == 1
#define fresh (newest > applied[0])
#define any_empty empty(0)
#else
#define fresh (newest > applied[0] && newest > applied[1])
#define any_empty (empty(0) || empty(1))
#endif

inline check_property() {
#if PROP == 1
	assert(!any_empty)
#elif PROP == 2
	assert(!stuck(0) && !stuck(1) && !stuck(2))
#else
	skip
#endif
}

inline next_endpoint() {
	e++;
	if
	:: e < ENDPOINTS -> phase[me] = FIRST
	:: else -> e = 0; phase[me] = SCAN
	fi
}

inline flip() {
#if PROP == 3
	assert(plan[me] >= applied[e]);
#endif
	rollback[e] = alias[e];
	alias[e] = plan[me];
	applied[e] = (plan[me] > applied[e] -> plan[me] : applied[e]);
	next_endpoint()
}

inline scan() {
	doomed[me] = (plan[me] > KEEP -> bit(plan[me] - KEEP) - 2 : 0);	/* plans 1 to plan - KEEP - 1 */
#ifndef APPLY_EMPTIED
	doomed[me] = doomed[me] & trees[e];
#endif
#ifdef ACTIVE_CHECK
	doomed[me] = doomed[me] & ~bit(alias[e]);
#endif
}

inline delete() {
#if defined(APPLY_EMPTIED) || defined(NONEMPTY_GUARD)
	doomed[me] = doomed[me] & ~bit(alias[e]);
#endif
#ifdef APPLY_EMPTIED
	emptied = emptied | doomed[me];
#endif
	trees[e] = trees[e] & ~doomed[me];
#ifndef APPLY_EMPTIED
	if
	:: doomed[me] & bit(alias[e]) -> alias[e] = 0	/* the alias goes with its tree */
	:: else
	fi;
#endif
	doomed[me] = 0;
	e++;
	if
	:: e < ENDPOINTS -> phase[me] = SCAN
	:: else -> e = 0; plan[me] = 0; phase[me] = IDLE
	fi
}

active [ENACTORS] proctype enactor() {
	do
	:: d_step { phase[me] == IDLE && fresh ->
		plan[me] = newest;
		phase[me] = FIRST;
		check_property()
	}
#ifdef RECHECK
	:: d_step { phase[me] == CHECK ->
		if
		:: plan[me] <= applied[e] -> next_endpoint()
		:: else -> phase[me] = BUILD
		fi;
		check_property()
	}
#endif
	:: d_step { phase[me] == BUILD ->
		if
		:: !(emptied & bit(plan[me])) -> trees[e] = trees[e] | bit(plan[me])
		:: else
		fi;
		phase[me] = FLIP;
		check_property()
	}
	:: d_step { phase[me] == FLIP && !empty(e) ->	/* else it is stuck */
		if
#ifdef FENCING
		:: plan[me] <= applied[e] -> next_endpoint()
#ifdef NONEMPTY_GUARD
		:: plan[me] > applied[e] && !(trees[e] & bit(plan[me])) -> next_endpoint()
#endif
#elif defined(NONEMPTY_GUARD)
		:: !(trees[e] & bit(plan[me])) -> next_endpoint()
#endif
		:: else -> flip()
		fi;
		check_property()
	}
	:: d_step { phase[me] == SCAN ->
		scan();
#ifdef ONE_LOCK
		delete();
#else
		phase[me] = DELETE;
#endif
		check_property()
	}
#ifndef ONE_LOCK
	:: d_step { phase[me] == DELETE ->
		delete();
		check_property()
	}
#endif
	od
}

active proctype planner() {
	do
	:: d_step { newest < PLANS -> newest++ }
	od
}
