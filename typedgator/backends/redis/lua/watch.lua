#!lua flags=allow-oom
-- Somebody waits for the end of a job: the one who ends it is told so.
-- KEYS    the fixed ones
-- ARGV    id, the mailbox where the id is to be put
-- Result  1 when the wait is on, 0 when the job is over or not known
-- Cost    O(1)
-- Needs   numbers keys
local id = ARGV[1]
if C('HEXISTS', frames, id) == 0 or C('ZSCORE', dead, id) then return 0 end
local boxes = C('HGET', waiters, id)
if not boxes then
  C('HSET', waiters, id, ARGV[2])
elseif not string.find(' ' .. boxes .. ' ', ' ' .. ARGV[2] .. ' ', 1, true) then
  C('HSET', waiters, id, boxes .. ' ' .. ARGV[2])
end
return 1
