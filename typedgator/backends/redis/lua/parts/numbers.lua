-- Whole numbers below 2^53 as Redis must see them: Lua's own way to write them turns large ones into 1e+15.
local function int(n) return string.format('%.0f', n) end
