#!lua flags=allow-oom
-- The wait is given up.
-- KEYS    the fixed ones
-- ARGV    id, mailbox
-- Result  1
-- Cost    O(1)
-- Needs   numbers keys
local id = ARGV[1]
local boxes, left = C('HGET', waiters, id) or '', {}
for box in string.gmatch(boxes, '%S+') do
  if box ~= ARGV[2] then left[#left + 1] = box end
end
if #left > 0 then
  C('HSET', waiters, id, table.concat(left, ' '))
else
  C('HDEL', waiters, id)
end
return 1
