#!lua
-- Accepts one job that is due at once, after nothing, beside nothing, without expiry. A known id is left as it is. The
-- same as enqueue_plain.lua, in as few commands as can be: each costs more than what it does.
-- KEYS    meta frames done0 done1 late0 late1 kept queues everyone clock, then ready and wake of the queue
-- ARGV    id, first 4 bytes, last bytes of the frame (from its expiry on)
-- Result  1 when it was known, else 0
-- Cost    O(log N)
-- Needs   numbers clock placing
local C = redis.call
local meta, frames, queues, everyone, clock = KEYS[1], KEYS[2], KEYS[8], KEYS[9], KEYS[10]
local line, list = KEYS[11], KEYS[12]
local id, head, rest = ARGV[1], ARGV[2], ARGV[3]
-- part numbers
-- part clock
local known = C('HSETNX', frames, id, head .. struct.pack('>I8', now) .. rest) == 0
if known then return 1 end
known = C('HEXISTS', KEYS[3], id) == 1 or C('HEXISTS', KEYS[4], id) == 1
if not known and C('EXISTS', KEYS[5], KEYS[6], KEYS[7]) > 0 then
  for i = 5, 7 do known = known or C('HEXISTS', KEYS[i], id) == 1 end
end
if known then
  C('HDEL', frames, id)
  return 1
end
-- EXISTS counts a key as often as it is named: 1 for the token of the queue, 2 for that of every queue.
local there = C('EXISTS', list, everyone, everyone)
-- part placing
return 0
