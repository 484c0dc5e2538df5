/*
 * arbiter/arbiter.h -- the supervisor from the inside.
 *
 * Owner: the arbiter owns everything here; workers own nothing but their copy
 * after fork. One thread, save for the atomics in `asked`.
 */
#ifndef ARBITER_ARBITER_H
#define ARBITER_ARBITER_H

#include "listener/inherit.h"
#include "listener/names.h"
#include "model/exit_record.h"
#include "model/library_options.h"
#include "model/reuseport_assignment.h"
#include "model/shortage.h"
#include "model/supervisor.h"
#include "model/worker_score.h"
#include "os/helper.h"
#include "os/scoreboard.h"
#include "worker/spawn_context.h"

#include <prefork/arbiter.h>
#include <prefork/listener.h>
#include <prefork/log.h>
#include <prefork/settings.h>

#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum {
	PFI_POOLS_MAX = 32,
	PFI_HOOKS_MAX = 32,
	PFI_STRATEGIES_MAX = 16,
	PFI_EVENTS_MAX = 64,
	PFI_THREAD_SLOTS_MAX = 1025,
	PFI_DYING_MAX = 32,
	PFI_ZOMBIES_MAX = 256
};

/* What an event on the epoll descriptor is about. Never a pointer: an event
 * may be read after its slot has got another process. */
enum pfi_source {
	PFI_SOURCE_TIMER,
	PFI_SOURCE_REQUESTS,
	PFI_SOURCE_SIGNALS,
	PFI_SOURCE_PIDFD,
	PFI_SOURCE_CHANNEL,
	PFI_SOURCE_WATCHDOG,
	PFI_SOURCE_LOOKUP,
	PFI_SOURCE_QUEUE, /* of a reuseport socket: slot is its index, incarnation the listener's number */
};

struct pfi_tag {
	enum pfi_source source;
	unsigned worker_index; /* over all pools */
	uint32_t incarnation;
};

/* A place where clients come in, and how many pools of all generations use it. */
struct pfi_listener_entry {
	struct prefork_listener *listener;
	unsigned users;
	bool inherited; /* with the environment */

	/* With reuse_port, see reuseport sockets.c. */
	struct pfi_reuseport_assignment sockets;
	bool *served;           /* by slot, when last settled                         */
	bool unsettled;         /* something could not be carried out                 */
	unsigned steered_to;    /* new clients go to so many reuseport sockets alone; 0: to all   */
	uint64_t shrink_at_ms;  /* when the others may have nobody on the way any more */
	uint32_t number;        /* of all there have been                              */
	uint64_t *check_at_ms;  /* by reuseport socket: when to look at its queue, see queues.c */
};

/* The listeners are borrowed, the list is not. */
struct pfi_listener_list {
	struct pfi_listener_entry **list;
	size_t count;
};

/* What workers are born with: settings, and the listeners they name. */
struct pfi_generation {
	uint32_t number; /* 0: free */
	struct prefork_settings *settings;
	struct prefork_settings *of_pool[PFI_POOLS_MAX];
	struct pfi_listener_list listeners[PFI_POOLS_MAX];
	struct pfi_names names; /* the hosts of bind that were looked up */
	int directory_fd;       /* its workers start there; 0: in this process's working directory */
	bool lost_directory;    /* the log has said that it was removed */
};

/* Children that nobody waits for. See orphans.c. */
struct pfi_zombie {
	pid_t pid;
	uint64_t since_ms;
};
struct pfi_orphans {
	bool active;     /* this process adopts them                    */
	bool give_back;  /* it was no sub-reaper before                 */
	bool has_signal; /* SIGCHLD says that there may be more to see  */
	bool look;       /* it has                                      */
	uint64_t wake_ms;
	unsigned count;
	struct pfi_zombie zombies[PFI_ZOMBIES_MAX];
};

/* A reload waits for a child that looks up host names. See lookups.c. */
struct pfi_lookup {
	uint32_t generation; /* whose names they are; 0: no reload waits */
	struct pfi_helper helper;
	bool has_ended;      /* and was reaped                           */
	uint64_t limit_ms, until_ms;
	char **hosts;
	size_t count;
};

/* One process as hooks see it. */
struct prefork_process {
	struct prefork_arbiter *arbiter;
	unsigned pool;
	unsigned slot;
	unsigned worker_index;
	uint32_t generation;
	pid_t pid;
	int pidfd, channel, watchdog;
	enum pfi_cause cause;
	unsigned prepared; /* sets of hooks, in order, whose before_fork agreed */
	unsigned messages; /* from this process, so far */
	unsigned timer_events;    /* of its watch, in the second that began at timer_events_since_ms */
	uint64_t timer_events_since_ms;
	uint64_t muted_until_ms; /* to its watch, 0: we hear it */
	bool logged_misbehaving;
	uint64_t grace_deadline_ms; /* the deadline that we once came too late for */
	uint64_t slow_ms;   /* the setting soft_timeout of its generation */
	uint64_t checked_ms; /* when its page was looked at last           */
	uint64_t unseen[(PFI_THREAD_SLOTS_MAX + 63) / 64]; /* by thread: late, and not asked for its stack */
	unsigned dumps;                             /* asked for, so far                            */
	int short_of;        /* errno: why it cannot accept connections; 0: it can */
	uint64_t short_since_ms, able_ms; /* since when it is short, and when it was so no more */
	bool logged_short;
	uint64_t asked_ms;   /* whether it runs, 0: no answer is awaited            */
	bool is_silent;      /* it has not answered, and accepts nothing            */
	char exit_message[256];
	char activity[PFI_ACTIVITY_SIZE + 1];
	bool is_at_work;      /* the note is of work in hand; else of the last      */
	char message[1024];
	uint64_t spawned_ms, exited_ms;
	int *sets;            /* its set of reuseport sockets, by listener; -1: that has none. NULL: none has */
	size_t set_count;
	bool drains_queue;         /* it was told to empty the queues and leave */
	uint64_t drain_at_ms; /* it is to leave, and told so only then; 0: nothing is held back */
	uint64_t requests;
	int status;
	enum prefork_reason reason;
	struct rusage rusage;
	struct pfi_exit_record dead; /* once it is, until that is told */
	void *user;
};

struct prefork_pool {
	struct prefork_arbiter *arbiter;
	char *name;
	const struct prefork_strategy *strategy; /* NULL: that of the setting worker_class */
	const struct prefork_service *service;
	void *user;
	char **overrides; /* setting, text, setting, text ... */
	size_t override_count;
	bool has_bind; /* among them */
	uid_t uid;     /* socket_user and socket_group, -1: nobody in particular */
	gid_t gid;
	unsigned first_worker_index;
	unsigned thread_slots;         /* deadline words per page                                   */
	enum pfi_shortage shortage; /* as last judged                                        */
	uint32_t ready_logged; /* the log says that so many serve, and all that are wanted; 0: not so */
	struct pfi_slot *slots;
};

struct pfi_attachment;

struct prefork_arbiter {
	struct prefork_settings *initial;  /* what create was given */
	struct prefork_settings *settings; /* in force */
	struct prefork_log *log;
	struct pfi_attachment *attachment; /* to the application's event loop, or NULL */
	void (*detach)(struct prefork_arbiter *arbiter); /* removes the attachment; NULL: none */
	const char *program;
	int epoll, timer, request_fd, arbiter_pidfd;
	uint32_t id; /* in the table of the library's descriptors: 1 and up */
	bool takes_signals, wants_signals, has_signals, logged_signals, started, finished, logged_stopping, refused;
	bool has_environment; /* its sockets are in `inherited` */
	uint64_t timer_at_ms;
	unsigned empty_turns; /* for which nothing had come, in the second that began at */
	uint64_t empty_at_ms;

	struct prefork_pool pools[PFI_POOLS_MAX];
	struct pfi_pool models[PFI_POOLS_MAX];
	unsigned pool_count;
	struct pfi_hook_set hooks[PFI_HOOKS_MAX];
	struct prefork_hooks hook_tables[PFI_HOOKS_MAX];
	unsigned hook_count;
	const struct prefork_strategy *strategies[PFI_STRATEGIES_MAX];
	unsigned strategy_count;

	struct pfi_supervisor supervisor;
	struct pfi_scoreboard scoreboard;
	struct prefork_process *processes; /* one per slot */
	unsigned processes_max;
	struct pfi_generation *generations;
	size_t generation_count;
	uint32_t last_generation;
	struct pfi_listener_list listeners; /* all there are, in the order of opening */
	uint32_t last_listener;         /* the number that was given last         */
	struct pfi_inherited inherited; /* what nobody has taken yet              */
	struct pfi_orphans orphans;
	struct pfi_lookup lookup;
	struct {
		char *name; /* of the working directory at the start, as the starter said it */
		struct stat status;
	} directory;
	struct {
		int pidfds[PFI_DYING_MAX];
		unsigned count;
		uint64_t pause_ms, look_at_ms;
	} dying;
	char reload_why[1024];
	char last_failure[1024];

	struct {
		_Atomic unsigned stop;                  /* 1 graceful, 2 quick */
		_Atomic unsigned reload;
		_Atomic unsigned scale[PFI_POOLS_MAX]; /* workers + 1; 0: nothing asked */
	} asked;
};

#define PFI_HOOKS(arbiter, name, ...)                                                         \
	do {                                                                                  \
		for (unsigned pfi_h = 0; pfi_h < (arbiter)->hook_count; pfi_h++) {            \
			const struct pfi_hook_set *const pfi_set = &(arbiter)->hooks[pfi_h];   \
			if (pfi_set->hooks->name != NULL)                                      \
				pfi_set->hooks->name(arbiter, __VA_ARGS__, pfi_set->user);     \
		}                                                                             \
	} while (0)

/* loop.c */
int pfi_loop_open(struct prefork_arbiter *arbiter);
int pfi_loop_verify(const struct prefork_arbiter *arbiter);
int pfi_loop_add(struct prefork_arbiter *arbiter, int fd, struct pfi_tag tag);
int pfi_loop_add_once(struct prefork_arbiter *arbiter, int fd, struct pfi_tag tag);
void pfi_loop_remove(struct prefork_arbiter *arbiter, int fd);
void pfi_loop_arm(struct prefork_arbiter *arbiter, uint64_t at_ms);
size_t pfi_loop_take(struct prefork_arbiter *arbiter, struct pfi_tag tags[PFI_EVENTS_MAX]);

/* events.c */
void pfi_events_process(struct prefork_arbiter *arbiter, uint64_t now_ms);

/* children.c */
bool pfi_child_start(struct prefork_arbiter *arbiter, unsigned pool, const struct pfi_order *order,
		     uint64_t now_ms);
void pfi_child_send_event(struct prefork_arbiter *arbiter, unsigned pool, const struct pfi_order *order,
		    uint64_t now_ms);
uint64_t pfi_children_drain_due(struct prefork_arbiter *arbiter, uint64_t now_ms);
uint32_t pfi_pool_serving(const struct prefork_arbiter *arbiter, unsigned pool);
void pfi_child_receive(struct prefork_arbiter *arbiter, struct prefork_process *process, uint64_t now_ms);
void pfi_child_health_check(struct prefork_arbiter *arbiter, struct prefork_process *process, uint64_t now_ms);

void pfi_child_read_exit_note(struct prefork_process *process);
unsigned pfi_child_post_mortem(struct prefork_process *process);

/* looks.c: have the threads that are late show their stacks. */
void pfi_child_dump(struct prefork_arbiter *arbiter, struct prefork_process *process);
void pfi_child_log_misbehaving(struct prefork_arbiter *arbiter, struct prefork_process *process, const char *what);
struct pfi_worker_score *pfi_process_score(const struct prefork_process *process);
void pfi_turn_without_events(struct prefork_arbiter *arbiter, uint64_t now_ms);
void pfi_child_watchdog_fired(struct prefork_arbiter *arbiter, struct prefork_process *process, uint64_t now_ms);
void pfi_children_notify_all(struct prefork_arbiter *arbiter, uint32_t message);

/* queues.c: reuseport sockets whose worker does not look at them. */
void pfi_queue_fired(struct prefork_arbiter *arbiter, unsigned socket_index, uint32_t number, uint64_t now_ms);
void pfi_queue_answered(struct prefork_arbiter *arbiter, struct prefork_process *process);
uint64_t pfi_queues_turn(struct prefork_arbiter *arbiter, struct pfi_listener_entry *entry, uint64_t now_ms);
void pfi_queue_forget(struct prefork_arbiter *arbiter, const struct pfi_listener_entry *entry, unsigned socket_index);

/* shortages.c: workers that cannot accept connections. */
void pfi_shortage_heard(struct prefork_arbiter *arbiter, struct prefork_process *process, uint32_t value,
			uint64_t now_ms);
void pfi_shortage_over(struct prefork_arbiter *arbiter, struct prefork_process *process, uint64_t now_ms);
uint64_t pfi_shortages_turn(struct prefork_arbiter *arbiter, uint64_t now_ms);

/* deaths.c */
void pfi_child_exited(struct prefork_arbiter *arbiter, struct prefork_process *process, uint64_t now_ms);
void pfi_exits_report(struct prefork_arbiter *arbiter, uint64_t now_ms);
void pfi_child_release(struct prefork_arbiter *arbiter, struct prefork_process *process);
void pfi_child_reap(struct prefork_arbiter *arbiter, struct prefork_process *process);
void pfi_children_kill_all(struct prefork_arbiter *arbiter);

/* dying.c: takes *pidfd and kills the child; the turn reaps it, and answers when to be called again. */
bool pfi_dying_has_room(const struct prefork_arbiter *arbiter);
void pfi_dying_add(struct prefork_arbiter *arbiter, int *pidfd);
void pfi_dying_finish(struct prefork_arbiter *arbiter);
uint64_t pfi_dying_turn(struct prefork_arbiter *arbiter, uint64_t now_ms);

/* lookups.c. Start: 1 when a child was started, 0 when nothing has to be looked up, or an error. Take:
 * the names are known, or an error, once the child has ended. Missed: the error when it has not. */
extern const char *pfi_lookup_program;
int pfi_lookup_start(struct prefork_arbiter *arbiter, struct pfi_generation *generation, uint64_t now_ms);
void pfi_lookup_child_event(struct prefork_arbiter *arbiter, uint32_t generation);
int pfi_lookup_take(struct prefork_arbiter *arbiter, struct pfi_generation *generation);
int pfi_lookup_missed(const struct prefork_arbiter *arbiter);
void pfi_lookup_end(struct prefork_arbiter *arbiter);

/* orphans.c */
extern uint64_t pfi_orphans_after_ms;
int pfi_orphans_start(struct prefork_arbiter *arbiter);
bool pfi_orphans_want_signal(const struct prefork_arbiter *arbiter);
uint64_t pfi_orphans_turn(struct prefork_arbiter *arbiter, uint64_t now_ms);
void pfi_orphans_finish(struct prefork_arbiter *arbiter);

/* directory.c */
void pfi_directory_remember(struct prefork_arbiter *arbiter);
void pfi_directory_follow(struct prefork_arbiter *arbiter, struct pfi_generation *generation);
void pfi_directory_check(struct prefork_arbiter *arbiter, struct pfi_generation *generation);

/* generations.c */
int pfi_generation_create(struct prefork_arbiter *arbiter, struct prefork_settings *settings, uint32_t number);
int pfi_generation_open(struct prefork_arbiter *arbiter, struct pfi_generation *generation);
struct pfi_generation *pfi_generation_find(const struct prefork_arbiter *arbiter, uint32_t number);
void pfi_generation_drop(struct prefork_arbiter *arbiter, struct pfi_generation *generation);
void pfi_generations_sweep(struct prefork_arbiter *arbiter);

/* listeners.c */
bool pfi_pool_has_listeners(const struct prefork_pool *pool);
bool pfi_generation_uses(const struct pfi_generation *generation, const struct pfi_listener_entry *entry);
int pfi_listener_table_open(struct prefork_arbiter *arbiter, struct pfi_generation *generation);
void pfi_listener_table_release(struct prefork_arbiter *arbiter, struct pfi_generation *generation);
int pfi_listener_table_inherit(struct prefork_arbiter *arbiter);
void pfi_listener_table_drop_rest(struct prefork_arbiter *arbiter);
uint64_t pfi_listener_table_refuse(struct prefork_arbiter *arbiter);
bool pfi_listener_table_abandon(struct prefork_arbiter *arbiter, const struct prefork_process *process,
			   uint64_t *ret_linger_ms);
void pfi_listeners_count_queued(struct prefork_arbiter *arbiter);
void pfi_listener_table_close(struct prefork_arbiter *arbiter);

/* reuseport sockets.c */
int pfi_reuseport_sets_open(struct prefork_process *process, const struct pfi_listener_list *listeners);
void pfi_reuseport_sets_close(struct prefork_process *process);
uint64_t pfi_reuseport_turn(struct prefork_arbiter *arbiter, uint64_t now_ms);
void pfi_listener_entry_forget_reuseport(struct pfi_listener_entry *entry);

/* listening.c */
int pfi_listening_owners(struct prefork_arbiter *arbiter, const struct pfi_generation *generation);
void pfi_listener_options_read(const struct prefork_arbiter *arbiter, const struct pfi_generation *generation,
			   unsigned pool, const char *text, struct pfi_listener_options *ret);

/* pools.c */
void pfi_policy_read(const struct pfi_library_settings *values, struct pfi_policy *ret);
void pfi_policies_follow(struct prefork_arbiter *arbiter);
const struct prefork_strategy *pfi_pool_strategy(const struct prefork_arbiter *arbiter, unsigned pool,
						 const struct prefork_settings *settings);
struct pfi_slot *pfi_process_slot(const struct prefork_process *process);

/* signals.c */
int pfi_signals_take(struct prefork_arbiter *arbiter);
void pfi_signals_process(struct prefork_arbiter *arbiter, uint64_t now_ms);
void pfi_requests_process(struct prefork_arbiter *arbiter, uint64_t now_ms);
void pfi_stop(struct prefork_arbiter *arbiter, bool graceful, uint64_t now_ms);

/* reload.c */
void pfi_reload(struct prefork_arbiter *arbiter);
uint64_t pfi_reload_turn(struct prefork_arbiter *arbiter, uint64_t now_ms);
void pfi_reload_decided(struct prefork_arbiter *arbiter, struct pfi_decision decision);

#endif
