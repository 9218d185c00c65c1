# Prints each message of every device once: reads what mosquitto_sub prints.
#   mosquitto_sub -h localhost -c -i consumer -q 1 -t 'cw/+/+' -F '%t %r %x' | python3 consumer.py
import gzip, json, sys

seen = set()  # in earnest: a unique key (dev, ep, seq) in your database

for line in sys.stdin:
    topic, retained, payload = line.split()
    prefix, device, leaf = topic.rsplit("/", 2)
    raw = bytes.fromhex(payload)
    if leaf in "wl":  # status and last words: no envelope
        print(topic, retained, raw.decode(), flush=True)
        continue
    if leaf == "d":  # commands go the other way
        continue
    lines = gzip.decompress(raw).splitlines() if raw[0] == 0x1F else [raw]
    for one in lines:
        e = json.loads(one)
        key = (e["dev"], e["ep"], e["seq"])
        if e["dev"] != device or key in seen:  # forged, or delivered again
            continue
        seen.add(key)
        print(e["dev"], e["seq"], e["type"], json.dumps(e["body"], ensure_ascii=False), flush=True)
