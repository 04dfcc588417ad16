-- What must never be true of a file, at the end of any transaction. Each statement answers with the culprits.
-- Not for hot paths: most of them read every job.

-- name: a waiting job has a place, and no other has one
SELECT seq, state, rank FROM tg_job WHERE (state = 2) <> (rank IS NOT NULL)

-- name: a place is taken once
SELECT queue, rank, count(*) FROM tg_job WHERE state = 2 GROUP BY queue, rank HAVING count(*) > 1

-- name: a job that is scheduled, retrying, held or over has a time at which that ends
SELECT seq, state FROM tg_job WHERE state IN (1, 3, 5, 6, 7, 8) AND due_ms IS NULL

-- name: a running job has a token and a worker with a lease, and no other job has a worker
SELECT seq, tg_job.worker FROM tg_job LEFT JOIN tg_worker ON tg_worker.worker = tg_job.worker AND tg_worker.ns = tg_job.ns
WHERE (state = 4) <> (tg_worker.worker IS NOT NULL AND token > 0) OR (state = 4) <> (tg_job.worker IS NOT NULL)

-- name: a token is held by one job, and none is greater than the last one granted
SELECT token, count(*) FROM tg_job WHERE token > 0 GROUP BY ns, token HAVING count(*) > 1
UNION ALL
SELECT tg_job.token, tg_tenant.token FROM tg_job JOIN tg_tenant ON tg_tenant.ns = tg_job.ns WHERE tg_job.token > tg_tenant.token

-- name: a job is over when it says when it ended, and only then
SELECT seq, state FROM tg_job WHERE (state > 5) <> (finished_ms IS NOT NULL)

-- name: an unfinished job and a dead letter have a frame, here or in tg_body; a memory has none
SELECT tg_job.seq, state, memory FROM tg_job LEFT JOIN tg_body ON tg_body.seq = tg_job.seq
WHERE (memory = 0) <> (tg_job.frame IS NOT NULL OR tg_body.frame IS NOT NULL)
    OR (tg_job.frame IS NOT NULL AND tg_body.frame IS NOT NULL)

-- name: a large frame has an owner
SELECT seq FROM tg_body WHERE seq NOT IN (SELECT seq FROM tg_job)

-- name: success and canceled are memories at once
SELECT seq, state FROM tg_job WHERE state IN (6, 8) AND memory = 0

-- name: nobody is asked to cancel but the running
SELECT seq, state FROM tg_job WHERE canceling AND state <> 4

-- name: progress is only of the running
SELECT seq, state FROM tg_job WHERE progress IS NOT NULL AND state <> 4

-- name: a held job says for whom it waits, and no other does
SELECT seq, state FROM tg_job WHERE (state = 3) <> (held_task IS NOT NULL AND held_schema IS NOT NULL)

-- name: a unique key has one unfinished owner
SELECT ns, hex(uniq), count(*) FROM tg_job WHERE uniq IS NOT NULL AND keyless = 0 AND state < 6 GROUP BY ns, uniq HAVING count(*) > 1

-- name: a blocked job waits for an unfinished parent, and no other job waits for any
SELECT seq, state FROM tg_job WHERE (state = 0) <> EXISTS (SELECT 1 FROM tg_parent WHERE child = seq)

-- name: a parent that is waited for exists, is not over, and knows that it has children
SELECT parent, child FROM tg_parent LEFT JOIN tg_job ON seq = parent WHERE seq IS NULL OR state > 5 OR NOT children

-- name: a job belongs to a queue of its namespace
SELECT seq FROM tg_job LEFT JOIN tg_queue ON tg_queue.queue = tg_job.queue AND tg_queue.ns = tg_job.ns
WHERE tg_queue.queue IS NULL

-- name: what has been started does not expire
SELECT seq, state FROM tg_job WHERE expires_ms IS NOT NULL AND state > 4

-- name: a worker that is over still holds something
SELECT worker FROM tg_worker WHERE over AND worker NOT IN (SELECT worker FROM tg_job WHERE state = 4)
