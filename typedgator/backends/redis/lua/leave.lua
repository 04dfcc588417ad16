#!lua flags=allow-oom
-- A worker goes: what it has comes back, attempts given back. One that is over changes nothing.
-- KEYS    the fixed ones, own and idle of the worker, then ready and wake of each queue
-- ARGV    version of the queues, '', worker
-- Result  {'ok', ends to tell of}
-- Cost    O(n log N), n the jobs that it has
-- Needs   numbers counting keys batches clock versions roster memory lines ending moves
local worker, owner = ARGV[3], KEYS[33]
if C('ZREM', beats, worker) == 1 then
  for _, each in ipairs(owned_by(owner)) do
    local id = each[2]
    local frame, asked = frame_of(id), forget_run(id)
    if frame then come_back(id, frame, load(id), asked) end
  end
  C('DEL', owner, KEYS[34])
  C('HDEL', workers, worker)
  renew('crew')
end
return {'ok', told}
