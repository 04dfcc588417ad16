-- What a worker has, in its own hash:
--   ''             the last token that it was granted
--   id             a token, '!' behind it when its settlement must look closer
--   '#' token      a batch: the ids of plain jobs, 16 bytes each, joined; the first has this token, each next the next
--   '#'            the first tokens of the batches, ascending
-- A large claim is one field, not hundreds. Whoever takes some out of a batch leaves what remains as smaller ones, and
-- what would be few as single fields.
local FEW = 32

local looked_at = {}
local function batches_of(owner)
  local mine = looked_at[owner]
  if not mine then
    mine = {}
    for first in string.gmatch(C('HGET', owner, '#') or '', '%d+') do
      mine[#mine + 1] = {first = tonumber(first), name = '#' .. first, out = {}}
    end
    looked_at[owner] = mine
  end
  return mine
end

local function ids_in(owner, batch)
  batch.ids = batch.ids or C('HGET', owner, batch.name) or ''
  return batch.ids
end

-- As a batch, what was granted from this token on; false when it must be kept one by one.
local function keep_together(owner, first, ids)
  if #ids < FEW then return false end
  for _, id in ipairs(ids) do
    if #id ~= 16 then return false end
  end
  local firsts = C('HGET', owner, '#')
  first = int(first)
  C('HSET', owner, '#' .. first, table.concat(ids), '#', firsts and firsts .. ' ' .. first or first)
  return true
end

-- Whether `n` jobs from this token on are in a batch, these ids joined; if so they are out of it.
local function take_out(owner, token, n, joined)
  local mine = batches_of(owner)
  for i = #mine, 1, -1 do
    local batch = mine[i]
    local at, out = token - batch.first, batch.out
    if at >= 0 then
      if string.sub(ids_in(owner, batch), 16 * at + 1, 16 * (at + n)) ~= joined then return false end
      for place = at + 1, at + n do
        if out[place] then return false end
      end
      for place = at + 1, at + n do out[place] = true end
      return true
    end
  end
  return false
end

-- What remains of a batch, as fields of the hash; the first tokens of smaller batches are added to `firsts`.
local function rest_of(batch, ids, least, firsts)
  local fields, out, place, n = {}, batch.out, 1, #ids / 16
  while place <= n do
    local last = place
    while last <= n and not out[last] do last = last + 1 end
    if last - place >= least then
      local first = int(batch.first + place - 1)
      firsts[#firsts + 1] = first
      fields[#fields + 1] = '#' .. first
      fields[#fields + 1] = string.sub(ids, 16 * place - 15, 16 * (last - 1))
    elseif last > place then
      for i, token in ipairs(numbered(batch.first + place - 1, last - place)) do
        fields[#fields + 1] = string.sub(ids, 16 * (place + i) - 31, 16 * (place + i) - 16)
        fields[#fields + 1] = token
      end
    end
    place = last + 1
  end
  return fields
end

-- Writes down what remains where some were taken out; `scattered`: of all batches, each job as a field.
local function leave_rest(owner, scattered)
  local firsts, changed = {}, false
  for _, batch in ipairs(batches_of(owner)) do
    if scattered or next(batch.out) then
      changed = true
      local fields = rest_of(batch, ids_in(owner, batch), scattered and math.huge or FEW, firsts)
      C('HDEL', owner, batch.name)
      if #fields > 0 then C('HSET', owner, unpack(fields)) end
    else
      firsts[#firsts + 1] = int(batch.first)
    end
  end
  if changed and #firsts > 0 then
    C('HSET', owner, '#', table.concat(firsts, ' '))
  elseif changed then
    C('HDEL', owner, '#')
  end
  looked_at[owner] = nil
end

-- All that a worker has, as {token as text, id}.
local function belongings(owner)
  local found, mine = C('HGETALL', owner), {}
  for i = 1, #found, 2 do
    local name, value = found[i], found[i + 1]
    local first = string.match(name, '^#(%d+)$')
    if first then
      for place, token in ipairs(numbered(tonumber(first), #value / 16)) do
        mine[#mine + 1] = {token, string.sub(value, 16 * place - 15, 16 * place)}
      end
    elseif name ~= '' and name ~= '#' then
      mine[#mine + 1] = {string.match(value, '^%d+'), name}
    end
  end
  return mine
end

-- The same by token, and that as a number.
local function owned_by(owner)
  local mine = belongings(owner)
  for _, each in ipairs(mine) do each[1] = tonumber(each[1]) end
  table.sort(mine, function(a, b) return a[1] < b[1] end)
  return mine
end

-- The token under which it has a job, or nil. Its last bytes are looked for, which are random: ids of the same time begin
-- alike, and a search for them would stop at each.
local function token_of(owner, id)
  local value = C('HGET', owner, id)
  if value then return string.match(value, '^%d+') end
  local ending = string.sub(id, 10)
  for _, batch in ipairs(#id == 16 and batches_of(owner) or {}) do
    local ids, at = ids_in(owner, batch), 0
    repeat
      at = string.find(ids, ending, at + 1, true)
    until not at or (at % 16 == 10 and string.sub(ids, at - 9, at + 6) == id)
    if at then return int(batch.first + (at - 10) / 16) end
  end
  return nil
end
