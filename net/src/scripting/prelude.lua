-- The part of a script's world that is written in Lua. It runs once for each interpreter, with every library at hand, and
-- returns the function that runs a script.
--
-- Scripts see a global table of their own, made anew for each run: what one writes there is refused, and what it gets
-- past that is gone with it. Libraries are behind tables that cannot be written.
local native = ...
local error, pcall, setfenv, setmetatable, type, tostring = error, pcall, setfenv, setmetatable, type, tostring
local rawset, rawget, rawequal, tonumber, unpack, select = rawset, rawget, rawequal, tonumber, unpack, select
local match, byte, getinfo = string.match, string.byte, debug.getinfo
local load_text, load_pieces, real_insert, real_remove, real_sort = loadstring, load, table.insert, table.remove, table.sort

local READONLY = "Attempt to modify a readonly table"
local is_protected = setmetatable({}, { __mode = "k" })

local function refuse()
    error(READONLY, 2)
end

local function protect(real)
    local table = setmetatable({}, { __index = real, __newindex = refuse, __metatable = false })
    is_protected[table] = true
    return table
end

-- What the run at hand has.
local current, raw_call, last_line
-- The error of redis.call that was raised last, and where.
local raised, raised_line

-- The line of the function that has called the one that calls this. Lua does not know it for a call in the last position,
-- which is nearly always the script's last line.
local function line_of_caller()
    local info = getinfo(3, "l")
    return info and info.currentline > 0 and info.currentline or last_line
end

-- Functions of this server return whether they have succeeded, and then a value or the text of an error.
local function value_of(f)
    return function(...)
        local ok, value = f(...)
        if ok then
            return value
        end
        error("user_script:" .. line_of_caller() .. ": " .. value, 0)
    end
end

local function values_of(f)
    return function(...)
        local ok, values = f(...)
        if ok then
            return unpack(values, 1, values.n)
        end
        error("user_script:" .. line_of_caller() .. ": " .. values, 0)
    end
end

local function library(functions, several)
    local made = {}
    for name, f in pairs(functions) do
        if type(f) ~= "function" then
            made[name] = f
        elseif several and several[name] then
            made[name] = values_of(f)
        else
            made[name] = value_of(f)
        end
    end
    return made
end

local redis = library(native.redis)

function redis.call(...)
    local ok, value = raw_call(...)
    if ok then
        return value
    end
    raised, raised_line = value, line_of_caller()
    error(value, 0)
end

function redis.pcall(...)
    local ok, value = raw_call(...)
    if ok then
        return value
    end
    return { err = value }
end

function redis.setresp(...)
    if select("#", ...) ~= 1 then
        error("redis.setresp() requires one argument.", 0)
    end
    local version = tonumber((...))
    if version ~= 2 and version ~= 3 then
        error("RESP version must be 2 or 3.", 0)
    end
    native.setresp(version)
end

local function checked(f)
    return function(t, ...)
        if is_protected[t] then
            error(READONLY, 2)
        end
        return f(t, ...)
    end
end

local tables = {}
for name, f in pairs(table) do
    tables[name] = f
end
tables.insert, tables.remove, tables.sort = checked(real_insert), checked(real_remove), checked(real_sort)

local maths = {}
for name, f in pairs(math) do
    maths[name] = f
end
maths.random, maths.randomseed = value_of(native.random), value_of(native.randomseed)

local strings = {}
for name, f in pairs(string) do
    strings[name] = f
end
strings.dump = nil
for _, name in ipairs({ "find", "match", "gmatch", "gsub" }) do
    local f = strings[name]
    strings[name] = function(text, pattern, ...)
        if type(pattern) == "string" and #pattern > native.pattern_max then
            error("pattern too long", 2)
        end
        return f(text, pattern, ...)
    end
end
-- It may take long for one instruction.
local rep = strings.rep
function strings.rep(...)
    if native.look_at_time() then
        error("", 0)
    end
    return rep(...)
end

-- Of Lua's collector a script may not change anything that outlasts it.
local collect = collectgarbage
local function collect_some(option, ...)
    if option == nil or option == "collect" or option == "count" or option == "step" then
        return collect(option or "collect", ...)
    end
    return 0
end

-- A handler runs without hooks: one that does not end would go on for ever.
local real_xpcall = xpcall
local function xpcall_within_time(f, handler)
    return real_xpcall(f, function(e)
        if native.is_over() or native.look_at_time() then
            return e
        end
        local ok, value = pcall(handler, e)
        return value
    end)
end

local function in_this_run(f, e)
    if f then
        setfenv(f, current)
    end
    return f, e
end

local base = {
    _VERSION = _VERSION,
    assert = assert, collectgarbage = collect_some, error = error, gcinfo = gcinfo, getmetatable = getmetatable,
    ipairs = ipairs, next = next, pairs = pairs, pcall = pcall, rawequal = rawequal, rawget = rawget, select = select,
    setmetatable = setmetatable, tonumber = tonumber, tostring = tostring, type = type, unpack = unpack, xpcall = xpcall_within_time,
    coroutine = protect(coroutine), math = protect(maths), string = protect(strings), table = protect(tables),
    bit = protect(library(native.bit)),
    cjson = protect(library(native.cjson)),
    cmsgpack = protect(library(native.cmsgpack, { unpack = true, unpack_one = true, unpack_limit = true })),
    struct = protect(library(native.struct, { unpack = true })),
}
base.redis = protect(redis)
base.server = base.redis

function base.rawset(t, k, v)
    if is_protected[t] then
        error(READONLY, 0)
    end
    return rawset(t, k, v)
end

function base.loadstring(text, name)
    if type(text) == "string" and byte(text) == 27 then
        error("attempt to load bytecode", 2)
    end
    return in_this_run(load_text(text, name))
end

function base.load(pieces, name)
    local is_first = true
    local function checked_pieces()
        local piece = pieces()
        if is_first and type(piece) == "string" and byte(piece) == 27 then
            error("attempt to load bytecode", 0)
        end
        is_first = is_first and (piece == "" or piece == nil)
        return piece
    end
    return in_this_run(load_pieces(checked_pieces, name))
end

setmetatable(base, {
    __index = function(_, name)
        error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
    end,
})

-- Methods of strings, of which no script may take the table that all share.
getmetatable("").__index = base.string
getmetatable("").__metatable = false

local of_base = { __index = base }

-- Runs a script. Returns whether it has succeeded; its value, or the error; and the line of the error, where it is known.
return function(f, keys, args, call, lines)
    local given = setmetatable({ KEYS = keys, ARGV = args }, of_base)
    local globals = setmetatable({}, { __index = given, __newindex = refuse, __metatable = false })
    given._G = globals
    is_protected[globals] = true
    current, raw_call, last_line, raised, raised_line = globals, call, lines, nil, nil
    setfenv(f, globals)
    local ok, value = pcall(f)
    current, raw_call = nil, nil
    if ok then
        return true, value
    end
    local line
    if type(value) == "string" then
        line = rawequal(value, raised) and raised_line or tonumber((match(value, "^user_script:(%d+):")))
    end
    return false, value, line
end
