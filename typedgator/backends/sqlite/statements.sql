-- Every statement of the SQLite backend. Header: purpose; parameters where their names do not say it; cost.
-- States by number: 0 blocked, 1 scheduled, 2 waiting, 3 held, 4 running, 5 retrying, 6 success, 7 failed, 8 canceled.
-- They stand as literals, since a partial index is used only where its condition is seen. Hot statements take their
-- parameters by position (binding by name costs more), the others by name.

-- ---------------------------------------------------------------- tenants, queues, workers

-- name: tenant_by_name
-- What a namespace keeps beside its jobs.
SELECT ns, token, mark_ms FROM tg_tenant WHERE name = ?

-- name: tenant_add
-- Two processes may meet here: the second finds the first one's row.
INSERT INTO tg_tenant (name) VALUES (?) ON CONFLICT (name) DO NOTHING

-- name: tenant_read
-- At the start of every transaction that writes.
SELECT token, mark_ms FROM tg_tenant WHERE ns = ?

-- name: tenant_write
-- At the end of a transaction that granted tokens, or when the mark is a second old.
UPDATE tg_tenant SET token = ?, mark_ms = ? WHERE ns = ?

-- name: tenant_dropped
-- Dead letters lost so far.
SELECT dropped FROM tg_tenant WHERE ns = ?

-- name: tenant_drop
-- So many more dead letters were lost.
UPDATE tg_tenant SET dropped = dropped + :lost WHERE ns = :ns

-- name: queue_by_name
SELECT queue, paused FROM tg_queue WHERE ns = ? AND name = ?

-- name: queue_add
INSERT INTO tg_queue (ns, name) VALUES (?, ?)

-- name: queue_pause
UPDATE tg_queue SET paused = :paused WHERE ns = :ns AND name = :name

-- name: queues_all
SELECT queue, name, paused FROM tg_queue WHERE ns = ? ORDER BY name

-- name: queues_serving
-- Queues that have something to hand out, by name. One index look-up for each queue.
SELECT queue, name FROM tg_queue
WHERE ns = ? AND paused = 0 AND EXISTS (SELECT 1 FROM tg_job WHERE tg_job.queue = tg_queue.queue AND state = 2)
ORDER BY name

-- name: worker_join
INSERT INTO tg_worker (ns, name, queues, lease_ms, until_ms) VALUES (:ns, :name, :queues, :lease_ms, :until_ms)

-- name: worker_by_name
SELECT worker, queues, lease_ms, until_ms, over FROM tg_worker WHERE name = ? AND ns = ?

-- name: worker_beat
UPDATE tg_worker SET until_ms = ? WHERE worker = ?

-- name: worker_delete
DELETE FROM tg_worker WHERE worker = ?

-- name: workers_lapsed
-- Those whose lease is over, also those not wholly reaped yet.
SELECT worker FROM tg_worker WHERE ns = :ns AND until_ms <= :now

-- name: worker_over
-- From now on it is being reaped: its beats come too late.
UPDATE tg_worker SET over = 1 WHERE worker = ? AND over = 0

-- name: worker_jobs
-- What a worker holds, by token.
SELECT seq, token FROM tg_job WHERE worker = :worker AND state = 4 ORDER BY token LIMIT :limit

-- name: worker_tokens
SELECT token, canceling FROM tg_job WHERE worker = ? AND state = 4 ORDER BY token

-- name: worker_owns
-- What it holds, by token, as it is told; nothing once it is over.
SELECT j.id, j.token FROM tg_worker AS w JOIN tg_job AS j ON j.worker = w.worker
WHERE w.name = ? AND w.ns = ? AND NOT w.over AND j.state = 4 ORDER BY j.token

-- name: worker_suspect
-- Whether it holds a job with a crash behind it.
SELECT 1 FROM tg_job WHERE worker = ? AND state = 4 AND crashes > 0 LIMIT 1

-- name: worker_unseen
-- What was claimed under a token that the worker never received.
SELECT seq, id, token, attempt, crashes, CAST(frame AS BLOB) FROM tg_job
WHERE worker = ? AND state = 4 AND token > ? ORDER BY token LIMIT ?

-- ---------------------------------------------------------------- accepting

-- name: accept_waiting
-- The hot one. Parameters: ns, id, queue, queue, lowest rank of its lane twice, highest, expires_ms, keep_ms, frame.
-- One row, the id's index, the queue's index; the place is one after the last of its lane, so no counter is written.
INSERT INTO tg_job (ns, id, queue, state, rank, expires_ms, keep_ms, frame)
VALUES (?, ?, ?, 2,
    (SELECT coalesce(max(rank), ?) + 1 FROM tg_job WHERE queue = ? AND state = 2 AND rank BETWEEN ? AND ?), ?, ?, ?)
ON CONFLICT (ns, id) DO NOTHING

-- name: accept
-- Any other one.
INSERT INTO tg_job (ns, id, queue, state, due_ms, expires_ms, keep_ms, uniq, frame)
VALUES (:ns, :id, :queue, :state, :due_ms, :expires_ms, :keep_ms, :uniq, :frame)

-- name: body_add
INSERT INTO tg_body (seq, frame) VALUES (?, ?)

-- name: body_read
SELECT CAST(frame AS BLOB) FROM tg_body WHERE seq = ?

-- name: body_delete
DELETE FROM tg_body WHERE seq = ?

-- name: job_by_id
SELECT seq, id, queue, state, rank, due_ms, expires_ms, keep_ms, worker, token, kind, attempt, crashes, canceling,
    children, memory, finished_ms, uniq, held_reason, held_ms
FROM tg_job WHERE ns = ? AND id = ?

-- name: job_by_seq
SELECT seq, id, queue, state, rank, due_ms, expires_ms, keep_ms, worker, token, kind, attempt, crashes, canceling,
    children, memory, finished_ms, uniq, held_reason, held_ms
FROM tg_job WHERE seq = ?

-- name: holder
-- The unfinished job that holds a unique key.
SELECT id FROM tg_job WHERE ns = ? AND uniq = ? AND keyless = 0 AND state < 6

-- name: parent_add
INSERT INTO tg_parent (parent, child) VALUES (?, ?) ON CONFLICT DO NOTHING

-- name: parent_mark
UPDATE tg_job SET children = 1 WHERE seq = ? AND children = 0

-- ---------------------------------------------------------------- becoming waiting

-- name: last_rank
-- The last place of a lane.
SELECT max(rank) FROM tg_job WHERE queue = ? AND state = 2 AND rank BETWEEN ? AND ?

-- name: line_up
-- Out of any unfinished state into its queue.
UPDATE tg_job SET state = 2, rank = ?, due_ms = NULL, worker = NULL, progress = NULL, held_task = NULL,
    held_schema = NULL, held_reason = NULL
WHERE seq = ?

-- name: frame_head
-- What a frame says before the envelope begins: 21 bytes and a queue's name of at most 255.
SELECT substr(CAST(coalesce(frame, (SELECT frame FROM tg_body WHERE tg_body.seq = tg_job.seq)) AS BLOB), 1, 276)
FROM tg_job WHERE seq = ?

-- name: due_jobs
-- What is due, by due time, ties by id: the index's own order.
SELECT seq FROM tg_job INDEXED BY tg_job_due
WHERE ns = :ns AND state IN (1, 5) AND due_ms <= :now ORDER BY due_ms, id LIMIT :limit

-- ---------------------------------------------------------------- claiming

-- name: in_line
-- Whether a queue has something to hand out; an idle claim asks this first, for each queue by name, without the write lock.
SELECT EXISTS (SELECT 1 FROM tg_job WHERE tg_job.queue = tg_queue.queue AND state = 2)
FROM tg_queue WHERE ns = ? AND name = ? AND paused = 0

-- name: glance
-- What else a claim may have to do. Parameters: ns, ns, name, ns. The worker's number, its queues, whether it is over, the
-- next due time, the next end of a lease.
SELECT worker, queues, over, (SELECT min(due_ms) FROM tg_job INDEXED BY tg_job_due WHERE ns = ? AND state IN (1, 5)),
    (SELECT min(until_ms) FROM tg_worker AS other WHERE other.ns = ?)
FROM tg_worker WHERE name = ? AND ns = ?

-- name: line
-- The first of a queue. A frame is read as bytes, whatever somebody put there: one bad row must not stop the others.
SELECT seq, id, token, kind, attempt, crashes, expires_ms, CAST(frame AS BLOB) FROM tg_job INDEXED BY tg_job_waiting
WHERE queue = ? AND state = 2 ORDER BY rank LIMIT ?

-- name: one
-- The same of one job.
SELECT seq, id, token, kind, attempt, crashes, expires_ms, CAST(frame AS BLOB) FROM tg_job WHERE seq = ?

-- name: start
-- Parameters: worker, token, seq.
UPDATE tg_job SET state = 4, rank = NULL, due_ms = NULL, worker = ?, token = ?, kind = NULL, attempt = attempt + 1
WHERE seq = ?

-- name: spent_add
-- Parameters: token, ns, id, kind, until_ms.
INSERT INTO tg_spent (token, ns, id, kind, until_ms) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING

-- name: spent_kind
SELECT kind FROM tg_spent WHERE token = ? AND ns = ? AND id = ?

-- ---------------------------------------------------------------- settling

-- name: succeed
-- The hot one: nobody is blocked by it, its frame is small. Parameters: due_ms, finished_ms, outcome, worker, token, ns, id.
-- Found by worker and token, so the settlement is written only by the lease's owner; the frame goes, the id stays.
UPDATE tg_job SET state = 6, due_ms = ?, finished_ms = ?, outcome = ?, kind = 0, worker = NULL, expires_ms = NULL,
    canceling = 0, memory = 1, held_ms = NULL, progress = NULL, frame = NULL
WHERE state = 4 AND worker = ? AND token = ? AND ns = ? AND id = ? AND children = 0 AND frame IS NOT NULL

-- name: finish
-- Any other end. `frame` and the body go in statements of their own.
UPDATE tg_job SET state = :state, rank = NULL, due_ms = :due_ms, expires_ms = NULL, worker = NULL, canceling = 0,
    children = 0, finished_ms = :now, held_task = NULL, held_schema = NULL, held_reason = NULL, reason = :reason,
    progress = NULL
WHERE seq = :seq

-- name: shrink
-- Only the memory of the id is left.
UPDATE tg_job SET frame = NULL, memory = 1 WHERE seq = ?

-- name: set_outcome
UPDATE tg_job SET outcome = ? WHERE seq = ?

-- name: spend
-- The attempt ended with this kind of verdict.
UPDATE tg_job SET kind = ? WHERE seq = ?

-- name: again
-- Retrying. Parameters by name; it was started: it cannot expire any more, and some worker could run it.
UPDATE tg_job SET state = 5, due_ms = :due_ms, worker = NULL, progress = NULL, expires_ms = NULL, held_ms = NULL
WHERE seq = :seq

-- name: give_back
-- The attempt does not count.
UPDATE tg_job SET attempt = attempt - 1 WHERE seq = ?

-- name: hold
UPDATE tg_job SET state = 3, due_ms = :due_ms, worker = NULL, progress = NULL, held_task = :task,
    held_schema = :schema, held_reason = :reason, held_ms = :since
WHERE seq = :seq

-- name: crash
-- Its worker lapsed.
UPDATE tg_job SET crashes = crashes + 1, expires_ms = NULL, held_ms = NULL WHERE seq = ?

-- name: children
-- Who is blocked by a job, by id.
SELECT child FROM tg_parent JOIN tg_job ON tg_job.seq = tg_parent.child WHERE parent = ? ORDER BY tg_job.id

-- name: parent_done
DELETE FROM tg_parent WHERE parent = ?

-- name: child_gone
DELETE FROM tg_parent WHERE child = ?

-- name: child_blocked
SELECT 1 FROM tg_parent WHERE child = ? LIMIT 1

-- name: schedule
UPDATE tg_job SET state = 1 WHERE seq = ?

-- ---------------------------------------------------------------- by hand

-- name: ask_to_cancel
UPDATE tg_job SET canceling = 1 WHERE seq = ?

-- name: renew
-- A failed or held job begins again; `line_up` follows.
UPDATE tg_job SET attempt = 0, crashes = 0, finished_ms = NULL, reason = '', expires_ms = NULL, held_ms = NULL,
    keyless = :keyless
WHERE seq = :seq

-- name: held_kinds
SELECT held_task, held_schema, count(*) FROM tg_job INDEXED BY tg_job_held WHERE ns = ? AND state = 3
GROUP BY held_task, held_schema ORDER BY held_task, held_schema

-- name: held_of_kind
SELECT seq, id FROM tg_job INDEXED BY tg_job_held
WHERE ns = :ns AND state = 3 AND held_task = :task AND held_schema = :schema

-- name: note
UPDATE tg_job SET progress = :progress WHERE worker = :worker AND token = :token AND state = 4

-- ---------------------------------------------------------------- reading

-- name: record
SELECT id, state, CAST(coalesce(frame, (SELECT frame FROM tg_body WHERE tg_body.seq = tg_job.seq)) AS BLOB),
    (SELECT name FROM tg_queue WHERE tg_queue.queue = tg_job.queue), attempt, crashes, token,
    (SELECT name FROM tg_worker WHERE tg_worker.worker = tg_job.worker), due_ms, finished_ms, canceling, reason,
    outcome, progress, held_ms, held_reason
FROM tg_job WHERE seq = ?

-- name: seq_by_id
SELECT seq, state FROM tg_job WHERE ns = ? AND id = ?

-- name: parents
-- What a blocked job still waits for, by id.
SELECT id FROM tg_parent JOIN tg_job ON tg_job.seq = tg_parent.parent WHERE child = ? ORDER BY id

-- name: count_blocked
SELECT queue, count(*) FROM tg_job INDEXED BY tg_job_blocked WHERE ns = ? AND state = 0 GROUP BY queue

-- name: count_due
SELECT queue, state, count(*) FROM tg_job INDEXED BY tg_job_due WHERE ns = ? AND state IN (1, 5) GROUP BY queue, state

-- name: count_waiting
SELECT count(*) FROM tg_job INDEXED BY tg_job_waiting WHERE queue = ? AND state = 2

-- name: count_held
SELECT queue, count(*) FROM tg_job INDEXED BY tg_job_held WHERE ns = ? AND state = 3 GROUP BY queue

-- name: count_running
SELECT tg_job.queue, count(*) FROM tg_worker JOIN tg_job INDEXED BY tg_job_running
    ON tg_job.worker = tg_worker.worker AND state = 4
WHERE tg_worker.ns = ? GROUP BY tg_job.queue

-- name: count_dead
SELECT queue, count(*) FROM tg_job INDEXED BY tg_job_dead WHERE ns = ? AND state = 7 AND memory = 0 GROUP BY queue

-- name: page_blocked
SELECT seq, id FROM tg_job INDEXED BY tg_job_blocked
WHERE ns = :ns AND state = 0 AND (:queue IS NULL OR queue = :queue) AND id > :after ORDER BY id LIMIT :limit

-- name: page_due
SELECT seq, id FROM tg_job INDEXED BY tg_job_due
WHERE ns = :ns AND state IN (1, 5) AND state = :state AND (:queue IS NULL OR queue = :queue) AND id > :after
ORDER BY id LIMIT :limit

-- name: page_held
SELECT seq, id FROM tg_job INDEXED BY tg_job_held
WHERE ns = :ns AND state = 3 AND (:queue IS NULL OR queue = :queue) AND id > :after ORDER BY id LIMIT :limit

-- name: page_running
SELECT seq, id FROM tg_worker JOIN tg_job INDEXED BY tg_job_running
    ON tg_job.worker = tg_worker.worker AND state = 4
WHERE tg_worker.ns = :ns AND (:queue IS NULL OR queue = :queue) AND id > :after ORDER BY id LIMIT :limit

-- name: page_ended
SELECT seq, id FROM tg_job INDEXED BY tg_job_ended
WHERE ns = :ns AND state > 5 AND state = :state AND (:queue IS NULL OR queue = :queue) AND id > :after
ORDER BY id LIMIT :limit

-- name: page_waiting
SELECT seq, rank FROM tg_job INDEXED BY tg_job_waiting
WHERE queue = :queue AND state = 2 AND rank > :after ORDER BY rank LIMIT :limit

-- name: page_dead
-- Newest first.
SELECT seq, finished_ms, id FROM tg_job INDEXED BY tg_job_dead
WHERE ns = :ns AND state = 7 AND memory = 0 AND (:queue IS NULL OR queue = :queue)
    AND (finished_ms < :finished_ms OR finished_ms = :finished_ms AND id > :after)
ORDER BY finished_ms DESC, id LIMIT :limit

-- ---------------------------------------------------------------- upkeep

-- name: expired_jobs
SELECT seq FROM tg_job INDEXED BY tg_job_expiring
WHERE ns = :ns AND expires_ms <= :now AND state < 4 ORDER BY expires_ms LIMIT :limit

-- name: overheld_jobs
SELECT seq FROM tg_job INDEXED BY tg_job_held WHERE ns = :ns AND state = 3 AND due_ms <= :now ORDER BY due_ms LIMIT :limit

-- name: ended_jobs
-- Whose outcome, or whose memory, may go: whether it is a dead letter, and until when its id is known at least.
SELECT seq, state = 7 AND memory = 0, finished_ms + keep_ms FROM tg_job INDEXED BY tg_job_ended
WHERE ns = :ns AND state > 5 AND due_ms <= :now ORDER BY due_ms LIMIT :limit

-- name: drop_outcome
UPDATE tg_job SET outcome = NULL, due_ms = ? WHERE seq = ?

-- name: forget
DELETE FROM tg_job WHERE seq = ?

-- name: dead_count
-- O(kept dead letters), at most 10,000 and what one call added.
SELECT count(*) FROM tg_job INDEXED BY tg_job_dead WHERE ns = ? AND state = 7 AND memory = 0

-- name: dead_oldest
SELECT seq FROM tg_job INDEXED BY tg_job_dead WHERE ns = :ns AND state = 7 AND memory = 0
ORDER BY finished_ms, id DESC LIMIT :limit

-- name: bury
-- A dead letter is dropped or purged: only its id is known.
UPDATE tg_job SET frame = NULL, outcome = NULL, memory = 1, due_ms = :due_ms WHERE seq = :seq

-- name: spent_forget
DELETE FROM tg_spent WHERE token IN (SELECT token FROM tg_spent WHERE until_ms <= :now ORDER BY until_ms LIMIT :limit)
