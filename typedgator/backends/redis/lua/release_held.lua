#!lua flags=allow-oom
-- Held jobs of some kinds get in line, by id.
-- KEYS    the fixed ones, then ready and wake of each queue
-- ARGV    version of the queues, '', limit (at most 256), kinds as task '\0' schema
-- Result  {'ok', how many it were, 1 when there may be more}
-- Cost    O(n log N)
-- Needs   numbers keys clock roster memory lines ending moves
local limit, found = tonumber(ARGV[3]), {}
for i = 4, #ARGV do
  local first = ARGV[i] .. '\0'
  for _, member in ipairs(C('ZRANGEBYLEX', held_of, '[' .. first, '[' .. first .. TOP, 'LIMIT', 0, limit)) do
    found[#found + 1] = sub(member, #first + 1)
  end
end
-- Byte by byte: Lua's own comparison of strings follows the server's locale.
local function before(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = byte(a, i), byte(b, i)
    if x ~= y then return x < y end
  end
  return #a < #b
end
table.sort(found, before)
local released = math.min(#found, limit)
for i = 1, released do
  local id = found[i]
  local frame, rec = C('HGET', frames, id), load(id)
  unhold(id, frame, rec)
  save(id, rec)
  line_up(id, frame)
end
return {'ok', released, #found >= limit and 1 or 0}
