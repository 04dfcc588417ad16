#!lua flags=allow-oom
-- Removes these jobs if they are in this state: failed ones leave their memory, others are canceled.
-- KEYS    the fixed ones, then ready and wake of each queue
-- ARGV    version of the queues, '', state, ids (at most 256)
-- Result  {'ok', how many it were, ends to tell of}
-- Cost    O(n log N), and what depends on them
-- Needs   numbers keys clock roster memory lines ending moves
local state, purged = ARGV[3], 0
for i = 4, #ARGV do
  local id = ARGV[i]
  local frame = C('HGET', frames, id)
  if frame and state == 'failed' then
    if C('ZSCORE', dead, id) then
      bury(id)
      purged = purged + 1
    end
  elseif frame then
    local rec = load(id)
    local there = C('ZSCORE', delayed, id) and (rec.x and 'retrying' or 'scheduled')
      or C('ZSCORE', ready(queue_of(frame)), id) and 'waiting'
      or C('ZSCORE', held, id) and 'held'
      or #under(blocked, id) > 0 and 'blocked'
    if there == state then
      withdraw(id, frame, rec)
      close(id, frame, rec, 'c', 'purged')
      purged = purged + 1
      settle_dependents()
    end
  end
end
return {'ok', purged, told}
