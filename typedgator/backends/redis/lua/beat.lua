#!lua flags=allow-oom
-- A heartbeat: the lease starts anew, unless the worker was reaped.
-- KEYS    the fixed ones, own of the worker
-- ARGV    worker, the tokens that it asks about
-- Result  {lapsed, numbers from 1 of lost tokens, numbers of those that should stop}
-- Cost    O(n), n the tokens and the jobs that it has
-- Needs   numbers counting keys batches clock
local worker, owner = ARGV[1], KEYS[33]
if not C('ZSCORE', beats, worker) then return {1} end
C('ZADD', beats, 'XX', int(now + string.match(C('HGET', workers, worker), '^%d+')), worker)
local lost, stopping = {}, {}
if #ARGV > 1 then
  local mine, some = {}, C('EXISTS', cancels) == 1
  for _, each in ipairs(belongings(owner)) do mine[each[1]] = each[2] end
  for i = 2, #ARGV do
    local id = mine[ARGV[i]]
    if not id then
      lost[#lost + 1] = i - 1
    elseif some and C('HEXISTS', cancels, id) == 1 then
      stopping[#stopping + 1] = i - 1
    end
  end
end
return {0, lost, stopping}
