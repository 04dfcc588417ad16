-- ARGV[2] is the version of the list of workers that the caller knows; their own keys are declared.
if (C('HGET', meta, 'crew') or '0') ~= ARGV[2] then
  local names = C('ZRANGE', beats, 0, -1)
  for _, name in ipairs(C('ZRANGE', over, 0, -1)) do names[#names + 1] = name end
  return {'crew', C('HGET', meta, 'crew') or '0', names}
end
