#!lua
-- Accepts one job as enqueue_one.lua does, which most calls are: its id was made for it and is sent for the first time,
-- so that nobody can know it. Unless it comes late, when it was sent again meanwhile: that is noted for a minute, and
-- then nothing is done here.
-- KEYS    meta frames queues everyone resent, then ready and wake of the queue
-- ARGV    id, first 4 bytes, last bytes of the frame (from its expiry on)
-- Result  0; 1 when it is here already; 2 when that is for enqueue_one.lua to say
-- Cost    O(log N)
-- Needs   numbers clock placing
local C = redis.call
local meta, frames, queues, everyone, resent, line, list = unpack(KEYS)
local id, head, rest = ARGV[1], ARGV[2], ARGV[3]
-- EXISTS counts a key as often as it is named: 1 for the token of the queue, 2 for that of every queue.
local there = C('EXISTS', list, everyone, everyone, resent, resent, resent, resent)
if there > 3 then return 2 end
-- part numbers
-- part clock
if C('HSETNX', frames, id, head .. struct.pack('>I8', now) .. rest) == 0 then return 1 end
-- part placing
return 0
