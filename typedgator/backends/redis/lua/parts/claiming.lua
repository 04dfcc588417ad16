-- Claims. Answers one of
--   {'reap', names}          these workers lapsed: reap them, with their keys declared, and claim again
--   {'lapsed'}               this identity is over
--   {'wait', in_ms, alone}   nothing to give before; alone: it has a suspect, and only its own settlement helps
--   {'jobs', tokens, ids, frames, attempts, crashes}    tokens: an array, or the first of consecutive ones;
--                            attempts and crashes are empty when all are first attempts
local function soonest()
  local at = now + 5000
  for _, index in ipairs({delayed, beats}) do
    local first = C('ZRANGE', index, 0, 0, 'WITHSCORES')
    if first[2] then at = math.min(at, tonumber(first[2])) end
  end
  return int(math.max(0, at - now))
end

-- A claim is full at so many bytes; so many jobs are read together, before anybody looks at how large they are.
local MOST_BYTES, SOME = 8388608, 64

local function sent_before(owner, seen, limit)
  local ids, tokens, found, bytes = {}, {}, {}, 0
  for _, each in ipairs(owned_by(owner)) do
    if #ids >= limit or bytes >= MOST_BYTES then break end
    local frame = each[1] > seen and frame_of(each[2])
    if frame then
      local n = #ids + 1
      tokens[n], ids[n], found[n], bytes = int(each[1]), each[2], frame, bytes + #frame
    end
  end
  if #ids == 0 then return nil end
  local attempts, crashes = {}, {}
  for i, id in ipairs(ids) do
    local rec = load(id)
    attempts[i], crashes[i] = (rec.a or 0) + 1, rec.c or 0
  end
  return {'jobs', tokens, ids, found, attempts, crashes}
end

-- Gives these jobs to a worker, under fresh consecutive tokens; answers the first token. `special` are those with a
-- record or a flag, which their settlement must look at.
local function grant(worker, owner, ids, found, special, crashes)
  local last = tonumber(C('HGET', meta, 'token') or 0)
  local n = #ids
  local start = math.max(last + 1, now_us)
  local any = next(special) ~= nil
  if not any and keep_together(owner, start, ids) then
    local newest = int(start + n - 1)
    C('HSET', meta, 'token', newest)
    C('HSET', owner, '', newest)
    return int(start)
  end
  local tokens = numbered(start, n)
  C('HSET', meta, 'token', tokens[n])
  local fields, at = {'', tokens[n]}, 2
  for i = 1, n do
    local token = tokens[i]
    if any and special[i] then
      token = token .. '!'
      if has(found[i], 2) then C('ZREM', expiring, ids[i]) end
      if crashes[i] and crashes[i] > 0 then C('HSET', suspects, ids[i], worker) end
    end
    fields[at + 1], fields[at + 2] = ids[i], token
    at = at + 2
  end
  C('HSET', owner, unpack(fields))
  return tokens[1]
end

-- How many bytes these are, if all are as most jobs are: no flag, no record.
local function all_plain(bodies)
  if C('HLEN', recs) > 0 then return false end
  local byte, bytes = byte, 0 -- closer at hand than what another function has
  for i = 1, #bodies do
    local frame = bodies[i]
    if not frame or byte(frame, 2) ~= 0 then return false end
    bytes = bytes + #frame
  end
  return bytes
end

-- The first of a queue, up to `limit` in all, behind those that are taken; true when a suspect or their size ended it.
local function take_from(queue, limit, taken)
  local line = ready(queue)
  local ids, found, special, attempts, crashes = taken.ids, taken.found, taken.special, taken.attempts, taken.crashes
  local late = 0
  while #ids < limit and late < 256 do
    local there = C('ZRANGE', line, 0, math.min(limit - #ids, SOME) - 1)
    if #there == 0 then return false end
    local bodies = C('HMGET', frames, unpack(there))
    local passed, expired, ends, bytes = 0, {}, false, all_plain(bodies)
    if bytes then
      passed, taken.bytes = #there, taken.bytes + bytes
      if #ids == 0 then
        ids, found = there, bodies
        taken.ids, taken.found = ids, found
      else
        local n = #ids
        for i = 1, passed do ids[n + i], found[n + i] = there[i], bodies[i] end
      end
    else
      local beside = C('HMGET', recs, unpack(there))
      for i, id in ipairs(there) do
        local frame = bodies[i]
        local rec = read_rec(beside[i])
        local suspect = rec and rec.c
        if not frame or #frame < 22 or #frame < 21 + byte(frame, 21) then
          -- Nobody knows what it was: an index without a frame must not stop a queue.
        elseif has(frame, 2) and not (rec and rec.x) and expires_of(frame) <= now then
          expired[#expired + 1] = {id, frame, rec or {}}
        else
          if suspect and #ids > 0 then
            ends = true
            break
          end
          local n = #ids + 1
          taken.bytes = taken.bytes + #frame
          ids[n], found[n], special[n] = id, frame, (rec or byte(frame, 2) ~= 0) and true or nil
          if rec then attempts[n], crashes[n] = (rec.a or 0) + 1, rec.c or 0 end
        end
        passed = i
        if suspect then
          ends = true
          break
        end
      end
    end
    if passed > 0 then C('ZREMRANGEBYRANK', line, 0, passed - 1) end
    for _, each in ipairs(expired) do
      close(each[1], each[2], each[3], 'c', 'expired')
    end
    if #expired > 0 then settle_dependents() end
    late = late + #expired
    if ends or taken.bytes >= MOST_BYTES then return true end
  end
  return false
end

-- `watching`: the worker was waiting, and so watched over what is due next.
local function claim(worker, owner, limit, seen, watching, served)
  local late = C('ZRANGEBYSCORE', beats, '-inf', ms, 'LIMIT', 0, 16)
  if C('EXISTS', over) == 1 then
    for _, name in ipairs(C('ZRANGE', over, 0, 15)) do late[#late + 1] = name end
  end
  if #late > 0 then return {'reap', late} end
  promote(256)
  if not C('ZSCORE', beats, worker) then return {'lapsed'} end
  if tonumber(C('HGET', owner, '') or 0) > seen then
    local lost = sent_before(owner, seen, limit)
    if lost then return lost end
  end
  if C('HLEN', suspects) > 0 then
    for _, name in ipairs(C('HVALS', suspects)) do
      if name == worker then return {'wait', soonest(), 1} end
    end
  end
  local taken = {ids = {}, found = {}, special = {}, attempts = {}, crashes = {}, bytes = 0}
  local some_paused = C('EXISTS', paused) == 1
  local open = {}
  for _, queue in ipairs(served) do
    if not (some_paused and C('SISMEMBER', paused, queue) == 1) then open[#open + 1] = queue end
  end
  for _, queue in ipairs(open) do
    if take_from(queue, limit, taken) or #taken.ids >= limit then break end
  end
  local ids, found, attempts, crashes = taken.ids, taken.found, taken.attempts, taken.crashes
  if #ids == 0 then return {'wait', soonest(), 0} end
  local first = grant(worker, owner, ids, found, taken.special, crashes)
  for _, queue in ipairs(open) do
    if C('EXISTS', ready(queue)) == 1 then wake(queue) end
  end
  if watching == '1' then
    local next_due = C('ZRANGEBYSCORE', delayed, '-inf', int(now + 5000), 'LIMIT', 0, 1)[1]
    if next_due then wake(queue_of(C('HGET', frames, next_due))) end
  end
  if next(attempts) == nil then return {'jobs', first, ids, found} end
  for i = 1, #ids do attempts[i], crashes[i] = attempts[i] or 1, crashes[i] or 0 end
  return {'jobs', first, ids, found, attempts, crashes}
end
