-- Layout 1. Purpose: everything a namespace ("tenant") keeps, in tables of one prefix, so that a file may be shared.
-- A state is stored as its number:
--     0 blocked, 1 scheduled, 2 waiting, 3 held, 4 running, 5 retrying, 6 success, 7 failed, 8 canceled.
-- Times are ms since the epoch. A partial index holds exactly the jobs of its states, so the rows tell where a job is.

CREATE TABLE tg_layout (version INTEGER NOT NULL);

-- token: the greatest ever granted. mark_ms: the latest time ever acted on. dropped: dead letters lost to limit or age.
CREATE TABLE tg_tenant (
    ns INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    token INTEGER NOT NULL DEFAULT 0,
    mark_ms INTEGER NOT NULL DEFAULT 0,
    dropped INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE tg_queue (
    queue INTEGER PRIMARY KEY,
    ns INTEGER NOT NULL,
    name TEXT NOT NULL,
    paused INTEGER NOT NULL DEFAULT 0,
    UNIQUE (ns, name)
);

-- queues: their names in the order to serve them, parted by spaces. over: being reaped, no longer a worker.
CREATE TABLE tg_worker (
    worker INTEGER PRIMARY KEY AUTOINCREMENT,
    ns INTEGER NOT NULL,
    name TEXT NOT NULL UNIQUE,
    queues TEXT NOT NULL,
    lease_ms INTEGER NOT NULL,
    until_ms INTEGER NOT NULL,
    over INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX tg_worker_until ON tg_worker (ns, until_ms);

-- One row a job, from enqueue until its id is forgotten.
-- rank: the place in its queue, while waiting: (255 - priority) * 2**54 + (2**53 unless it came back) + a running number.
-- due_ms: when a scheduled, retrying or (its parents done) blocked job is due, a held one fails, a finished one loses its
--     outcome and then, after keep_ms, its memory.
-- expires_ms: NULL also once it has been started. token, kind: of the last attempt, and how that ended, once it has.
-- uniq: its unique key, held until it is over; keyless: 1 when it was requeued while another held the key.
-- memory: 1 once only the memory of a finished job is left. children: 1 when jobs may be blocked by it.
-- frame: NULL when it is large, then it is in tg_body, so that a change of state never rewrites it.
CREATE TABLE tg_job (
    seq INTEGER PRIMARY KEY,
    ns INTEGER NOT NULL,
    id BLOB NOT NULL,
    queue INTEGER NOT NULL,
    state INTEGER NOT NULL,
    rank INTEGER,
    due_ms INTEGER,
    expires_ms INTEGER,
    keep_ms INTEGER NOT NULL,
    worker INTEGER,
    token INTEGER NOT NULL DEFAULT 0,
    kind INTEGER,
    attempt INTEGER NOT NULL DEFAULT 0,
    crashes INTEGER NOT NULL DEFAULT 0,
    canceling INTEGER NOT NULL DEFAULT 0,
    children INTEGER NOT NULL DEFAULT 0,
    memory INTEGER NOT NULL DEFAULT 0,
    finished_ms INTEGER,
    uniq BLOB,
    keyless INTEGER NOT NULL DEFAULT 0,
    held_task TEXT,
    held_schema TEXT,
    held_reason TEXT,
    held_ms INTEGER,
    reason TEXT NOT NULL DEFAULT '',
    outcome BLOB,
    progress BLOB,
    frame BLOB
);
CREATE UNIQUE INDEX tg_job_id ON tg_job (ns, id);
CREATE UNIQUE INDEX tg_job_uniq ON tg_job (ns, uniq) WHERE uniq IS NOT NULL AND keyless = 0 AND state < 6;
CREATE INDEX tg_job_blocked ON tg_job (ns, queue) WHERE state = 0;
CREATE INDEX tg_job_due ON tg_job (ns, due_ms, id, queue, state) WHERE state IN (1, 5);
CREATE INDEX tg_job_waiting ON tg_job (queue, rank) WHERE state = 2;
CREATE INDEX tg_job_held ON tg_job (ns, due_ms, queue) WHERE state = 3;
CREATE INDEX tg_job_running ON tg_job (worker, token) WHERE state = 4;
CREATE INDEX tg_job_suspect ON tg_job (worker) WHERE state = 4 AND crashes > 0;
CREATE INDEX tg_job_expiring ON tg_job (ns, expires_ms) WHERE expires_ms IS NOT NULL AND state < 4;
CREATE INDEX tg_job_ended ON tg_job (ns, due_ms) WHERE state > 5;
CREATE INDEX tg_job_dead ON tg_job (ns, finished_ms DESC, id, queue) WHERE state = 7 AND memory = 0;

CREATE TABLE tg_body (seq INTEGER PRIMARY KEY, frame BLOB NOT NULL);

-- A child that is blocked waits for these parents.
CREATE TABLE tg_parent (
    parent INTEGER NOT NULL,
    child INTEGER NOT NULL,
    PRIMARY KEY (parent, child)
) WITHOUT ROWID;
CREATE INDEX tg_parent_child ON tg_parent (child, parent);

-- Tokens spent by earlier attempts of a job that runs again, so that the same settlement again is recognised.
CREATE TABLE tg_spent (
    token INTEGER PRIMARY KEY,
    ns INTEGER NOT NULL,
    id BLOB NOT NULL,
    kind INTEGER NOT NULL,
    until_ms INTEGER NOT NULL
);
CREATE INDEX tg_spent_until ON tg_spent (until_ms);
