-- What is known of finished jobs, for about a minute: two hashes that take turns, `done0` and `done1`.
--   id      -> 's' token ':' ms           a success with nothing else to tell
--              's' | 'f' | 'c' .. msgpack  any other end
--   '#' token -> kind .. id               a settlement that ended an attempt, so that it may be repeated
-- `kept` and `keep` have those that must be known for longer.
local fresh
local function memory()
  if fresh then return fresh end
  local found = C('HMGET', meta, 'era', 'era_ms')
  local era, since = tonumber(found[1] or 0), tonumber(found[2] or 0)
  if now - since >= 60000 then
    C('UNLINK', era == 0 and done1 or done0)
    if now - since >= 120000 then C('UNLINK', era == 0 and done0 or done1) end
    era = 1 - era
    C('HSET', meta, 'era', int(era), 'era_ms', ms)
  end
  fresh = era == 0 and done0 or done1
  return fresh
end

-- A net, should nobody ever come by again; a turn ends long before.
local function keep_memory() C('PEXPIRE', fresh, 600000) end

local function ended(id)
  return C('HGET', done0, id) or C('HGET', done1, id) or C('HGET', kept, id)
end

local function remember(id, state, info, least_ms, outcome_ms)
  info.f = info.f or now
  if not outcome_ms and least_ms <= 60000 then
    C('HSET', memory(), id, state .. cmsgpack.pack(info))
    keep_memory()
    return
  end
  info.u = now + math.max(least_ms, outcome_ms or 0)
  if outcome_ms then info.o = now + outcome_ms end
  C('HSET', kept, id, state .. cmsgpack.pack(info))
  C('ZADD', keep, int(info.o or info.u), id)
end

-- A settlement that is repeated after it was written, perhaps long since overtaken: the same answer.
local function written_before(kind, id, token)
  local field = '#' .. token
  local spent = C('HGET', done0, field) or C('HGET', done1, field)
  if spent then return spent == kind .. id end
  if kind ~= 's' then return false end
  local known = C('HGET', done0, id) or C('HGET', done1, id)
  return known and string.sub(known, 1, #token + 2) == 's' .. token .. ':'
end
