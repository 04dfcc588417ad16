#!lua flags=allow-oom
-- Claims one job before its turn.
-- KEYS    the fixed ones, own and idle of the worker, then ready and wake of each queue
-- ARGV    version of the queues, '', worker, id
-- Result  {'ok', {'jobs', …} as parts/claiming.lua says, {'lapsed'} or {'none'}, ends to tell of}
-- Cost    O(log N)
-- Needs   numbers counting keys batches clock roster memory lines ending moves claiming
local worker, id = ARGV[3], ARGV[4]
if not C('ZSCORE', beats, worker) then return {'ok', {'lapsed'}, told} end
local frame = C('HGET', frames, id)
if not frame or not (C('ZSCORE', delayed, id) or C('ZSCORE', ready(queue_of(frame)), id)) then
  return {'ok', {'none'}, told}
end
local rec = load(id)
withdraw(id, frame, rec)
if has(frame, 2) and not rec.x and expires_of(frame) <= now then
  close(id, frame, rec, 'c', 'expired')
  settle_dependents()
  return {'ok', {'none'}, told}
end
local special = next(rec) ~= nil or byte(frame, 2) ~= 0
local first = grant(worker, KEYS[33], {id}, {frame}, {special}, {rec.c or 0})
return {'ok', {'jobs', first, {id}, {frame}, {(rec.a or 0) + 1}, {rec.c or 0}}, told}
