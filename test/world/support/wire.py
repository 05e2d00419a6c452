"""Listens on an interface to what clients say over TCP. A line with addresses on standard input asks for what they have said
since they were asked for last; the answer is one line of JSON: for each connection its server, port and octets."""

import json
import os
import select
import socket
import struct
import sys

SO_RCVBUFFORCE = 33
packets = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0003))
packets.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
packets.bind((sys.argv[1], 0))
packets.setblocking(False)

# By client, then by connection: the sequence number that comes next, and the octets so far.
said = {}


def segment(packet):
    if packet[0] >> 4 == 4:
        if packet[9] != socket.IPPROTO_TCP:
            return None
        length = struct.unpack("!H", packet[2:4])[0] or len(packet)
        family, source, target = socket.AF_INET, packet[12:16], packet[16:20]
        tcp = packet[(packet[0] & 15) * 4 : length]
    else:
        if packet[6] != socket.IPPROTO_TCP:
            return None
        length = struct.unpack("!H", packet[4:6])[0]
        family, source, target = socket.AF_INET6, packet[8:24], packet[24:40]
        tcp = packet[40 : 40 + length] if length else packet[40:]
    from_port, to_port, sequence = struct.unpack("!HHI", tcp[:8])
    return (
        socket.inet_ntop(family, source),
        (from_port, socket.inet_ntop(family, target), to_port),
        sequence,
        tcp[(tcp[12] >> 4) * 4 :],
    )


def listen():
    while True:
        try:
            packet, (_, _, direction, *_) = packets.recvfrom(1 << 17)
        except BlockingIOError:
            return
        found = segment(packet) if direction != socket.PACKET_OUTGOING and len(packet) > 40 else None
        if found is None or not found[3]:
            continue
        client, connection, sequence, octets = found
        held = said.setdefault(client, {}).setdefault(connection, [sequence, bytearray()])
        # What is sent again is not said again.
        known = (held[0] - sequence) & 0xFFFFFFFF
        if known < 0x80000000:
            octets = octets[known:]
        held[1] += octets
        held[0] = (held[0] + len(octets)) & 0xFFFFFFFF


print("ready", flush=True)
asked = b""
while True:
    select.select([packets, 0], [], [])
    listen()
    if not select.select([0], [], [], 0)[0]:
        continue
    part = os.read(0, 65536)
    if not part:
        break
    asked += part
    while b"\n" in asked:
        line, asked = asked.split(b"\n", 1)
        # What a program that has ended sent has passed before this question.
        listen()
        answer = [
            {"to": server, "port": port, "octets": held[1].decode("latin1")}
            for client in line.decode().split()
            for (_, server, port), held in said.pop(client, {}).items()
        ]
        print(json.dumps(answer), flush=True)
