#!lua flags=allow-oom
-- Marks the layout of a namespace: that of the newest release that opened it. Older ones refuse it from then on.
-- KEYS    the fixed ones
-- ARGV    the layout of this release
-- Result  the layout that the namespace has
-- Cost    O(1)
-- Needs   numbers keys
local layout = tonumber(C('HGET', meta, 'layout') or 0)
if layout < tonumber(ARGV[1]) then
  layout = tonumber(ARGV[1])
  C('HSET', meta, 'layout', ARGV[1])
end
return int(layout)
