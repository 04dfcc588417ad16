#!lua flags=allow-oom
-- A dead letter or a held job begins again, last in its queue.
-- KEYS    the fixed ones, then ready and wake of each queue
-- ARGV    version of the queues, '', id
-- Result  {'ok', 1 or 0}
-- Cost    O(log N)
-- Needs   numbers keys clock roster lines memory ending moves
local id = ARGV[3]
local frame = C('HGET', frames, id)
if not frame then return {'ok', 0} end
local rec = load(id)
if C('ZREM', dead, id) == 1 then
  count('failed', queue_of(frame), -1)
elseif not unhold(id, frame, rec) then
  return {'ok', 0}
end
if has(frame, 1) then
  local key = C('HGET', unique_of, id)
  if key then C('HSETNX', unique, key, id) end
end
if has(frame, 2) then C('ZREM', expiring, id) end
save(id, {x = 1, o = rec.o})
line_up(id, frame)
return {'ok', 1}
