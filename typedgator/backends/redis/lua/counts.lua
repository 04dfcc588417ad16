#!lua flags=no-writes
-- How many jobs there are, by queue and state; nothing is written.
-- KEYS    the fixed ones, own of each worker, then ready and wake of each queue
-- ARGV    version of the queues, version of the crew, number of workers, workers, queues
-- Result  {'ok', {'state:queue', n, …}, dropped, paused queues}
-- Cost    O(Q + jobs that run)
-- Needs   numbers counting keys batches roster crew lines
local n, found, running = tonumber(ARGV[3]), C('HGETALL', tally), {}
for i = 4 + n, #ARGV do
  found[#found + 1] = 'waiting:' .. ARGV[i]
  found[#found + 1] = C('ZCARD', ready(ARGV[i]))
end
for i = 1, n do
  for _, each in ipairs(belongings(own(ARGV[3 + i]))) do
    local frame = C('HGET', frames, each[2])
    if frame then
      local field = 'running:' .. queue_of(frame)
      running[field] = (running[field] or 0) + 1
    end
  end
end
for field, jobs in pairs(running) do
  found[#found + 1] = field
  found[#found + 1] = jobs
end
return {'ok', found, C('HGET', meta, 'dropped') or 0, C('SMEMBERS', paused)}
