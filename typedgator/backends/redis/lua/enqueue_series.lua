#!lua
-- Accepts plain jobs that differ only in id and arguments; known ids are left as they are. The same as enqueue_plain.lua,
-- with less to send and to take apart: what the jobs share comes once.
-- KEYS    meta frames done0 done1 late0 late1 kept queues everyone clock, then ready and wake of the queue
-- ARGV    queue, first 4 bytes of the frame, its bytes from the expiry to the id, those between id and arguments, those
--         after them, the id of a job that must be known, or '', '1' when all ids were made for this write, else '0', all
--         ids joined, 16 bytes each; then arguments of each job
-- Result  the numbers, from 1, of those that were known; 0 when the job that must be known is not, and nothing was done
-- Cost    O(n log N)
-- Needs   numbers counting clock versions known
local C = redis.call
local meta, frames, done0, done1, late0, late1, kept, queues, everyone, clock, line, list = unpack(KEYS)
-- part numbers
-- part counting
-- part clock
-- part versions
-- part known
local HALF, LANE = 17592186044416, 35184372088832
local queue, head, between, after, behind = ARGV[1], ARGV[2], ARGV[4], ARGV[5], ARGV[6]
if behind ~= '' and not is_known(behind) then return 0 end

local said, n, joined, ids, cut = ARGV, #ARGV - 8, ARGV[8], {}, string.sub
for i = 1, n do ids[i] = cut(joined, 16 * i - 15, 16 * i) end
local there = known_among(ids, ARGV[7] == '1')
local before = head .. struct.pack('>I8', now) .. ARGV[3]
local lane = (255 - string.byte(head, 3)) * LANE
local places = numbered(lane + HALF + C('HINCRBY', meta, 'seq', n) - n + 1, n)
local bodies, order, known, at = {}, {}, {}, 0
for i, id in ipairs(ids) do
  if there[i] then
    known[#known + 1] = i
  else
    bodies[at + 1] = id
    bodies[at + 2] = before .. id .. between .. said[8 + i] .. after
    order[at + 1] = places[i]
    order[at + 2] = id
    at = at + 2
  end
end
if at > 0 then
  C('ZADD', line, unpack(order)) -- first, so that what could not be placed is not known, should it be sent again
  if C('SADD', queues, queue) == 1 then renew('queues') end
  if C('LLEN', list) == 0 then
    C('RPUSH', list, 1)
    C('PEXPIRE', list, 60000)
  end
  if C('LLEN', everyone) == 0 then
    C('RPUSH', everyone, 1)
    C('PEXPIRE', everyone, 60000)
  end
  C('HSET', frames, unpack(bodies))
end
return known
