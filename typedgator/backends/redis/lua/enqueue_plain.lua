#!lua
-- Accepts jobs that are due at once, after nothing, beside nothing, without expiry; known ids are left as they are.
-- KEYS    meta frames done0 done1 late0 late1 kept queues everyone clock, then ready and wake of each queue
-- ARGV    '1' when all ids were made for this write, else '0'; then id, first 4 bytes, last bytes of the frame (from its
--         expiry on), of each job
-- Result  the numbers, from 1, of those that were known
-- Cost    O(n log N)
-- Needs   numbers counting clock versions known
local C = redis.call
local meta, frames, done0, done1, late0, late1, kept, queues, everyone, clock = unpack(KEYS)
-- part numbers
-- part counting
-- part clock
-- part versions
-- part known
local HALF, LANE = 17592186044416, 35184372088832
local accepted = struct.pack('>I8', now)
local byte, sub = string.byte, string.sub
local known = {}

local function place(queue, line, list, args)
  C('ZADD', line, unpack(args))
  if C('SADD', queues, queue) == 1 then renew('queues') end
  if C('LLEN', list) == 0 then
    C('RPUSH', list, 1)
    C('PEXPIRE', list, 60000)
  end
  if C('LLEN', everyone) == 0 then
    C('RPUSH', everyone, 1)
    C('PEXPIRE', everyone, 60000)
  end
end

local ids = {}
for i = 2, #ARGV, 3 do ids[#ids + 1] = ARGV[i] end
local there = known_among(ids, ARGV[1] == '1')
local bodies, lines, seen = {}, {}, {}
local seq = HALF + C('HINCRBY', meta, 'seq', #ids) - #ids
local places, lane, from = nil, nil, 0
for i, id in ipairs(ids) do
  if there[i] or seen[id] then
    known[#known + 1] = i
  else
    seen[id] = true
    local head, rest = ARGV[3 * i], ARGV[3 * i + 1]
    bodies[#bodies + 1] = id
    bodies[#bodies + 1] = head .. accepted .. rest
    local queue = sub(rest, 10, 9 + byte(rest, 9))
    local line = lines[queue]
    if not line then
      line = {}
      lines[queue] = line
    end
    if byte(head, 3) ~= lane then
      lane = byte(head, 3)
      places = numbered((255 - lane) * LANE + seq + i, #ids - i + 1)
      from = i - 1
    end
    line[#line + 1] = places[i - from]
    line[#line + 1] = id
  end
end
if #bodies > 0 then
  local prefix = sub(meta, 1, -5)
  for queue, line in pairs(lines) do place(queue, prefix .. 'ready:' .. queue, prefix .. 'wake:' .. queue, line) end
  -- Last, so that what could not be placed is not known, should it be sent again.
  C('HSET', frames, unpack(bodies))
end
return known
