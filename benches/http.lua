-- Load for benches/http: GETs over a set of objects, or PUTs each to a key of its own, of one body.
-- Arguments: METHOD SIZE OBJECTS RUN BODY_FILE

local threads = 0

function setup(thread)
    thread:set("id", threads)
    threads = threads + 1
end

function init(args)
    method, size, objects, run = args[1], args[2], tonumber(args[3]), args[4]
    sent, state = 0, 12345 + id
    local host = wrk.headers["Host"] or (wrk.host .. ":" .. wrk.port)
    if method == "PUT" then
        local file = assert(io.open(args[5], "rb"))
        local body = file:read("*a")
        file:close()
        head = "PUT /put/" .. size .. "/" .. run .. "/" .. id .. "/"
        tail = " HTTP/1.1\r\nHost: " .. host .. "\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body
    else
        requests = {}
        for i = 0, objects - 1 do
            requests[i] = "GET /get/" .. size .. "/" .. i .. " HTTP/1.1\r\nHost: " .. host .. "\r\n\r\n"
        end
    end
end

function request()
    if method == "PUT" then
        sent = sent + 1
        return head .. sent .. tail
    end
    state = (state * 1103515245 + 12345) % 2147483648
    return requests[math.floor(state / 2147483648 * objects)]
end

function done(summary, latency, all)
    local e = summary.errors
    io.write(string.format("RESULT %d %d %d\n", summary.requests, summary.duration,
        e.connect + e.read + e.write + e.status + e.timeout))
end
