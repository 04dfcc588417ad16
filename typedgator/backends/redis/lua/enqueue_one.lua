#!lua
-- Accepts one job that is due at once, after nothing, beside nothing, without expiry: what most calls are. A known id is
-- left as it is. The same as enqueue_plain.lua, in as few commands as can be: each costs more than what it does.
-- KEYS    meta frames done0 done1 late0 late1 kept queues stars everyone clock, then ready and wake of the queue
-- ARGV    id, first 4 bytes, last bytes of the frame (from its expiry on)
-- Result  1 when it was known, else 0
-- Cost    O(log N)
-- Needs   numbers clock
local C = redis.call
local clock = KEYS[11]
-- part numbers
-- part clock
local id, head, frames = ARGV[1], ARGV[2], KEYS[2]
local known = C('HSETNX', frames, id, head .. struct.pack('>I8', now) .. ARGV[3]) == 0
if known then return 1 end
known = C('HEXISTS', KEYS[3], id) == 1 or C('HEXISTS', KEYS[4], id) == 1
if not known and C('EXISTS', KEYS[5], KEYS[6], KEYS[7]) > 0 then
  for i = 5, 7 do known = known or C('HEXISTS', KEYS[i], id) == 1 end
end
if known then
  C('HDEL', frames, id)
  return 1
end
local place = 17592186044416 + C('HINCRBY', KEYS[1], 'seq', 1)
C('ZADD', KEYS[12], int((255 - string.byte(head, 3)) * 35184372088832 + place), id)
-- EXISTS counts a key as often as it is named: 1 for the token of the queue, 2 for workers of every queue, 4 for theirs.
local stars, everyone, list = KEYS[9], KEYS[10], KEYS[13]
local there = C('EXISTS', list, stars, stars, everyone, everyone, everyone, everyone)
if there % 2 == 0 then
  -- Where a token lies the queue is known, since whoever puts one there has a job of it.
  local rest = ARGV[3]
  if C('SADD', KEYS[8], string.sub(rest, 10, 9 + string.byte(rest, 9))) == 1 then
    -- As parts/versions.lua.
    C('HSET', KEYS[1], 'queues', int(math.max((C('HGET', KEYS[1], 'queues') or 0) + 1, now_us)))
  end
  C('RPUSH', list, 1)
  C('PEXPIRE', list, 60000)
end
if there == 2 or there == 3 then
  C('RPUSH', everyone, 1)
  C('PEXPIRE', everyone, 60000)
end
return 0
