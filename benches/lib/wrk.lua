-- What the load of every benchmark shares. wrk runs it with one thread.
-- At the end: RESULT, requests, their time in µs, wrong answers, p50 and p99 in µs.
--   least      a script sets it to the bytes that every answer has to have
--   wrong      a script that judges its answers itself counts here, and has a `response`; otherwise all below 400 are right

local ffi = require("ffi")
local thread

function setup(only_thread) thread = only_thread end

function read_body(path)
    local file = assert(io.open(path, "rb"))
    local body = file:read("*a")
    file:close()
    return body
end

function host() return wrk.headers["Host"] or (wrk.host .. ":" .. wrk.port) end

-- A PUT as a function of its path, which always has `length` bytes; `rest` is what follows the path. The path is written into one
-- and the same string: LuaJIT hashes and copies whatever is a new one, and with bodies of some MB the load took all of a core for
-- that, so that every server looked alike.
function put_in_place(length, rest)
    local text = "PUT " .. string.rep("-", length) .. rest
    local place = ffi.cast("char *", ffi.cast("const char *", text)) + 4
    return function(path)
        assert(#path == length, path)
        ffi.copy(place, path, length)
        return text
    end
end

function done(summary, latency)
    local e = summary.errors
    local errors = e.connect + e.read + e.write + e.timeout + (thread:get("wrong") or e.status)
    -- A body that is shorter than what was stored is no hit.
    if summary.bytes < summary.requests * (thread:get("least") or 0) then errors = errors + 1 end
    io.write(string.format("RESULT %d %d %d %d %d\n", summary.requests, summary.duration, errors,
        latency:percentile(50), latency:percentile(99)))
end
