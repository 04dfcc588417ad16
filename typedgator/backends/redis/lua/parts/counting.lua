-- `n` consecutive whole numbers as text; writing a large one costs more than most commands do.
local function numbered(first, n)
  local DIGITS = {[0] = '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'}
  local list = {}
  while #list < n do
    local digit = first % 10
    local head = int((first - digit) / 10)
    for last = digit, math.min(9, digit + n - #list - 1) do list[#list + 1] = head .. DIGITS[last] end
    first = first - digit + 10
  end
  return list
end
