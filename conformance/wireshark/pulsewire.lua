-- Shows Pulsewire in Wireshark and tshark: tshark -X lua_script:pulsewire.lua -r FILE
-- It knows port 7700, and any TCP connection that begins with a valid HELLO. Checks are verified once the HELLO of the receiver was seen.

local bit = rawget(_G, "bit") or rawget(_G, "bit32")
local pulsewire = Proto("pulsewire", "Pulsewire")

local KINDS = {
    [1] = "HELLO", [2] = "HELLO_ACK", [3] = "REJECT", [4] = "DATA", [5] = "PING", [6] = "PONG", [7] = "BUSY", [8] = "DRAIN",
    [9] = "CLOSE", [10] = "CLOSE_ACK",
}
local ITEMS = {
    [0x0001] = "VERSIONS", [0x0002] = "SYNC_KEY", [0x0003] = "LIMITS", [0x0004] = "PING_FLOOR", [0x0005] = "FEATURES",
    [0x8006] = "TOKEN", [0x8010] = "TEXT", [0x8011] = "LIMIT",
}
local REASONS = {
    [1] = "NORMAL", [2] = "GOING_AWAY", [3] = "REFUSED", [4] = "OVERLOADED", [16] = "NOT_PULSEWIRE", [17] = "BAD_HEADER",
    [18] = "PAYLOAD_CHECKSUM", [19] = "BAD_PACKET", [20] = "UNKNOWN_KIND", [21] = "UNKNOWN_FLAG", [22] = "BAD_LENGTH",
    [23] = "BAD_FRAGMENT", [24] = "FRAME_TOO_LARGE", [25] = "MESSAGE_TOO_LARGE", [26] = "RESYNC_BUDGET",
    [27] = "CHECKSUM_REQUIRED", [28] = "UNEXPECTED_PACKET", [29] = "BAD_COUNT", [32] = "BAD_HELLO",
    [33] = "UNSUPPORTED_VERSION", [34] = "UNKNOWN_ITEM", [35] = "HANDSHAKE_TIMEOUT", [36] = "INCOMPATIBLE_TIMERS",
    [48] = "PEER_TIMEOUT", [49] = "WRITE_STALL", [50] = "FRAME_STALL", [51] = "PING_FLOOD", [52] = "BAD_PING",
    [53] = "BAD_PONG", [54] = "CLOSE_TIMEOUT", [55] = "MESSAGE_STALL",
}
local REJECTIONS = { [1] = "TOO_LARGE", [2] = "DAMAGED" }

local HEADER, TRAILER, CHECKSUM = 12, 4, 0x04
local fields = {
    magic = ProtoField.bytes("pulsewire.magic", "Magic"),
    kind = ProtoField.uint8("pulsewire.kind", "Kind", base.HEX, KINDS),
    flags = ProtoField.uint8("pulsewire.flags", "Flags", base.HEX),
    first = ProtoField.bool("pulsewire.flags.first", "FIRST", 8, nil, 0x01),
    more = ProtoField.bool("pulsewire.flags.more", "MORE", 8, nil, 0x02),
    checksum = ProtoField.bool("pulsewire.flags.checksum", "CHECKSUM", 8, nil, 0x04),
    encrypted = ProtoField.bool("pulsewire.flags.encrypted", "ENCRYPTED", 8, nil, 0x08),
    class = ProtoField.uint8("pulsewire.class", "Class"),
    length = ProtoField.uint24("pulsewire.length", "Length"),
    check = ProtoField.uint32("pulsewire.check", "Check", base.HEX),
    check_status = ProtoField.string("pulsewire.check.status", "Check status"),
    trailer = ProtoField.uint32("pulsewire.trailer", "Trailer", base.HEX),
    trailer_status = ProtoField.string("pulsewire.trailer.status", "Trailer status"),
    payload = ProtoField.bytes("pulsewire.payload", "Payload"),
    number = ProtoField.uint64("pulsewire.number", "Number"),
    received = ProtoField.uint64("pulsewire.received", "Received"),
    pause = ProtoField.uint32("pulsewire.pause", "Pause (ms)"),
    ordinal = ProtoField.uint64("pulsewire.ordinal", "Ordinal"),
    rejection = ProtoField.uint16("pulsewire.reject.reason", "Reason", base.DEC, REJECTIONS),
    refused_class = ProtoField.uint8("pulsewire.reject.class", "Class of the message"),
    reason = ProtoField.uint16("pulsewire.close.reason", "Reason", base.DEC, REASONS),
    retry_after = ProtoField.uint32("pulsewire.close.retry_after", "Retry after (ms)"),
    item = ProtoField.uint16("pulsewire.item", "Item", base.HEX, ITEMS),
    item_length = ProtoField.uint16("pulsewire.item.length", "Length"),
    item_value = ProtoField.bytes("pulsewire.item.value", "Value"),
    text = ProtoField.string("pulsewire.text", "Text"),
    skipped = ProtoField.bytes("pulsewire.skipped", "No packet"),
}
pulsewire.fields = fields
local wrong_check = ProtoExpert.new("pulsewire.check.wrong", "The check is wrong", expert.group.CHECKSUM, expert.severity.ERROR)
local wrong_trailer =
    ProtoExpert.new("pulsewire.trailer.wrong", "The trailer is wrong", expert.group.CHECKSUM, expert.severity.ERROR)
local no_packet = ProtoExpert.new("pulsewire.no_packet", "Bytes that are no packet", expert.group.MALFORMED, expert.severity.WARN)
pulsewire.experts = { wrong_check, wrong_trailer, no_packet }

local stream_field = Field.new("tcp.stream")
local keys = {}
function pulsewire.init() keys = {} end

-- CRC32C, a byte at a time.
local table_of = {}
for index = 0, 255 do
    local value = index
    for _ = 1, 8 do
        local odd = bit.band(value, 1) == 1
        value = bit.rshift(value, 1)
        if odd then value = bit.bxor(value, 0x82F63B78) end
    end
    table_of[index] = value
end
local function crc32c(range)
    local value, bytes = 0xFFFFFFFF, range:bytes()
    for index = 0, bytes:len() - 1 do
        value = bit.bxor(table_of[bit.band(bit.bxor(value, bytes:get_index(index)), 0xFF)], bit.rshift(value, 8))
    end
    return bit.bxor(value, 0xFFFFFFFF)
end
local function same(one, other) return bit.tobit(one) == bit.tobit(other) end
if not bit.tobit then
    same = function(one, other) return one % 0x100000000 == other % 0x100000000 end
end

local function key_name(port) return stream_field().value .. ":" .. port end

-- "right", "wrong" or "unknown": the first packet has key 0, later ones that of their receiver.
local function check_status(head, key)
    local sum, check = crc32c(head(0, 8)), head(8, 4):uint()
    if same(sum, check) then return "right" end
    if not key then return "unknown" end
    return same(bit.bxor(sum, key), check) and "right" or "wrong"
end

local function add_items(tvb, tree, pinfo)
    local offset = 0
    while offset + 4 <= tvb:len() do
        local id, length = tvb(offset, 2):uint(), tvb(offset + 2, 2):uint()
        if offset + 4 + length > tvb:len() then return end
        local item = tree:add(fields.item, tvb(offset, 2))
        item:add(fields.item_length, tvb(offset + 2, 2))
        if length > 0 then
            local value = tvb(offset + 4, length)
            item:add(fields.item_value, value)
            if id == 0x8010 then item:add(fields.text, value) end
            if id == 0x0002 and length == 4 then keys[key_name(pinfo.src_port)] = value:uint() end
        end
        offset = offset + 4 + length
    end
end

local function add_payload(kind, payload, tree, pinfo)
    local length = payload:len()
    if (kind == 5 or kind == 6) and length == 8 then
        tree:add(fields.number, payload(0, 8))
    elseif (kind == 8 or kind == 10) and length == 8 then
        tree:add(fields.received, payload(0, 8))
    elseif kind == 7 and length == 4 then
        tree:add(fields.pause, payload(0, 4))
    elseif kind == 3 and length == 11 then
        tree:add(fields.ordinal, payload(0, 8))
        tree:add(fields.rejection, payload(8, 2))
        tree:add(fields.refused_class, payload(10, 1))
    elseif kind == 9 and length >= 14 then
        tree:add(fields.reason, payload(0, 2))
        tree:add(fields.received, payload(2, 8))
        tree:add(fields.retry_after, payload(10, 4))
        if length > 14 then add_items(payload(14):tvb(), tree, pinfo) end
    elseif kind == 1 or kind == 2 then
        add_items(payload, tree, pinfo)
    else
        tree:add(fields.payload, payload())
    end
end

local function add_header(head, tree, status)
    tree:add(fields.magic, head(0, 2))
    tree:add(fields.kind, head(2, 1))
    local flags = tree:add(fields.flags, head(3, 1))
    for _, name in ipairs({ "first", "more", "checksum", "encrypted" }) do flags:add(fields[name], head(3, 1)) end
    tree:add(fields.class, head(4, 1))
    tree:add(fields.length, head(5, 3))
    local check = tree:add(fields.check, head(8, 4))
    check:add(fields.check_status, head(8, 4), status):set_generated()
    if status == "wrong" then check:add_proto_expert_info(wrong_check) end
end

-- How many bytes come before the first at which a packet may begin.
local function garbage(tvb, offset)
    for at = offset, tvb:len() - 1 do
        if tvb(at, 1):uint() == 0xF7 and (at + 1 == tvb:len() or tvb(at + 1, 1):uint() == 0x9A) then return at - offset end
    end
    return tvb:len() - offset
end

local function packet_size(head)
    local trailer = bit.band(head(3, 1):uint(), CHECKSUM) ~= 0 and TRAILER or 0
    return HEADER + head(5, 3):uint() + trailer
end

local function add_packet(tvb, offset, size, status, pinfo, root)
    local head = tvb(offset, HEADER)
    local kind, length = head(2, 1):uint(), head(5, 3):uint()
    local name = KINDS[kind] or string.format("kind 0x%02x", kind)
    local tree = root:add(pulsewire, tvb(offset, size), "Pulsewire " .. name)
    add_header(head, tree, status)
    if status == "wrong" then return name .. " with a wrong check" end
    if length > 0 then add_payload(kind, tvb(offset + HEADER, length):tvb(), tree, pinfo) end
    if size > HEADER + length then
        local trailer = tvb(offset + HEADER + length, TRAILER)
        local due = length > 0 and crc32c(tvb(offset + HEADER, length)) or 0
        local item = tree:add(fields.trailer, trailer)
        local right = same(due, trailer:uint())
        item:add(fields.trailer_status, trailer, right and "right" or "wrong"):set_generated()
        if not right then item:add_proto_expert_info(wrong_trailer) end
    end
    return name
end

function pulsewire.dissector(tvb, pinfo, root)
    pinfo.cols.protocol = "Pulsewire"
    local offset, names = 0, {}
    local function wait_for(more)
        pinfo.desegment_offset = offset
        pinfo.desegment_len = more
    end
    while offset < tvb:len() do
        local skipped = garbage(tvb, offset)
        if skipped > 0 then
            local tree = root:add(pulsewire, tvb(offset, skipped), "Pulsewire: no packet")
            tree:add(fields.skipped, tvb(offset, skipped)):add_proto_expert_info(no_packet)
            table.insert(names, skipped .. " bytes that are no packet")
            offset = offset + skipped
        else
            if tvb:len() - offset < HEADER then
                wait_for(DESEGMENT_ONE_MORE_SEGMENT)
                break
            end
            local head = tvb(offset, HEADER)
            local status = check_status(head, keys[key_name(pinfo.dst_port)])
            local size = status == "wrong" and HEADER or packet_size(head)
            if tvb:len() - offset < size then
                wait_for(size - (tvb:len() - offset))
                break
            end
            table.insert(names, add_packet(tvb, offset, size, status, pinfo, root))
            offset = offset + size
        end
    end
    if #names > 0 then pinfo.cols.info = table.concat(names, ", ") end
    return tvb:len()
end

DissectorTable.get("tcp.port"):add(7700, pulsewire)
pulsewire:register_heuristic("tcp", function(tvb, pinfo, root)
    if tvb:len() < HEADER or tvb(0, 2):uint() ~= 0xF79A or check_status(tvb(0, HEADER), nil) ~= "right" then return false end
    pulsewire.dissector(tvb, pinfo, root)
    pinfo.conversation = pulsewire
    return true
end)
