-- What is known of ids, in all places where an id may be.
local indexes = {frames}
for _, index in ipairs({done0, done1, late0, late1, kept}) do
  if C('EXISTS', index) == 1 then indexes[#indexes + 1] = index end
end

local function is_known(id)
  for _, index in ipairs(indexes) do
    if C('HEXISTS', index, id) == 1 then return true end
  end
  return false
end

-- Which of them, by place. `together`: they were made for one write. Should it be here already, all of it is: the first
-- can speak for the others.
local function known_among(ids, together)
  if together and not is_known(ids[1]) then return {} end
  local there = C('HMGET', frames, unpack(ids))
  for i = 2, #indexes do
    for place, found in ipairs(C('HMGET', indexes[i], unpack(ids))) do there[place] = there[place] or found end
  end
  return there
end
