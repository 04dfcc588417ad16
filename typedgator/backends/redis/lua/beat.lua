#!lua flags=allow-oom
-- A heartbeat: the lease starts anew, unless the worker was reaped.
-- KEYS    the fixed ones, own of the worker
-- ARGV    worker, the tokens that it asks about
-- Result  {lapsed, numbers from 1 of lost tokens, numbers of those that should stop}
-- Cost    O(n), n the tokens and the jobs that it has
-- Needs   numbers keys clock
local worker, owner = ARGV[1], KEYS[34]
if not C('ZSCORE', beats, worker) then return {1} end
C('ZADD', beats, 'XX', int(now + string.match(C('HGET', workers, worker), '^%d+')), worker)
local lost, stopping = {}, {}
if #ARGV > 1 then
  local mine, found, some = {}, C('HGETALL', owner), C('EXISTS', cancels) == 1
  for i = 1, #found, 2 do
    if found[i] ~= '' then mine[string.match(found[i + 1], '^%d+')] = found[i] end
  end
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
