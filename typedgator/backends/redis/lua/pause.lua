#!lua flags=allow-oom
-- A queue hands out nothing, or does again.
-- KEYS    the fixed ones, ready and wake of the queue
-- ARGV    queue, '1' to pause, '0' to resume
-- Result  1
-- Cost    O(1)
-- Needs   numbers keys lines
local queue = ARGV[1]
if ARGV[2] == '1' then
  C('SADD', paused, queue)
else
  C('SREM', paused, queue)
  -- A token is there only where the queue is known: enqueue_one.lua relies on it.
  if C('SISMEMBER', queues, queue) == 1 then wake(queue) end
end
return 1
