#!lua flags=allow-oom
-- Ends a job that is not running; asks a running one to stop.
-- KEYS    the fixed ones, then ready and wake of each queue
-- ARGV    version of the queues, '', id
-- Result  {'ok', 'done' | 'requested' | 'too late' | 'unknown', ends to tell of}
-- Cost    O(log N), and what depends on it
-- Needs   numbers keys clock roster memory lines ending moves
local id = ARGV[3]
local frame = C('HGET', frames, id)
if not frame then
  local known = ended(id)
  if not known then return {'ok', 'unknown', told} end
  return {'ok', byte(known) == 99 and 'done' or 'too late', told}
end
if C('ZSCORE', dead, id) then return {'ok', 'too late', told} end
local rec = load(id)
if not withdraw(id, frame, rec) then
  C('HSET', cancels, id, 1)
  return {'ok', 'requested', told}
end
close(id, frame, rec, 'c', 'canceled')
settle_dependents()
return {'ok', 'done', told}
