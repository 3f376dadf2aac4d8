/** The Python script that reads wheels: Python is available wherever pip is, and its zipfile streams members of any size. */

/**
 * argv: wheel, target folder, kind (`tensorflow`, `nvidia` or `plugin`), then the required headers, or a plugin's files. Extracts the
 * shared libraries, and the headers reachable from the required ones (the wheel contains 13,000, about 30 are needed), checks every file
 * against the wheel's RECORD (zipfile checks the CRC), and prints one JSON object per line.
 */
export const EXTRACT_SCRIPT = String.raw`
import base64, hashlib, json, os, re, sys, zipfile

wheel, target, kind = sys.argv[1:4]
wanted_headers = sys.argv[4:]

def say(**fields):
    print(json.dumps(fields), flush=True)

def fail(reason):
    say(corrupt=reason)
    sys.exit(3)

try:
    archive = zipfile.ZipFile(wheel)
    names = set(archive.namelist())
    record_name = next(n for n in names if n.endswith('.dist-info/RECORD'))
    metadata = archive.read(record_name[:-len('RECORD')] + 'METADATA').decode()
    record = {}
    for line in archive.read(record_name).decode().splitlines():
        parts = line.rsplit(',', 2)
        if len(parts) == 3 and parts[1].startswith('sha256='):
            record[parts[0].strip('"')] = parts[1][len('sha256='):]
except (zipfile.BadZipFile, StopIteration, KeyError, OSError, EOFError) as error:
    fail('%s: %s' % (type(error).__name__, error))

if kind == 'tensorflow':
    chosen = [n for n in ('tensorflow/libtensorflow_cc.so.2', 'tensorflow/libtensorflow_framework.so.2') if n in names]
    if len(chosen) != 2:
        fail('it holds no libtensorflow')
    root = 'tensorflow/include/'
    waiting = [h for h in wanted_headers if root + h in names]
    seen = set(waiting)
    while waiting:
        header = waiting.pop()
        chosen.append(root + header)
        text = archive.read(root + header).decode('utf-8', 'replace')
        for found in re.findall(r'^\s*#\s*include\s*["<]([^">]+)[">]', text, re.M):
            if found not in seen and root + found in names:
                seen.add(found)
                waiting.append(found)
elif kind == 'plugin':
    missing = [n for n in wanted_headers if n not in names]
    if missing:
        fail('it does not hold ' + ', '.join(missing))
    chosen = wanted_headers + [n for n in names if '.dist-info/licenses/' in n and not n.endswith('/')]
else:
    chosen = [n for n in names if n.startswith('nvidia/') and '/include/' not in n and not n.endswith('/')]

total = sum(archive.getinfo(n).file_size for n in chosen)
done = 0
reported = 0
for name in chosen:
    destination = os.path.normpath(os.path.join(target, name))
    if not destination.startswith(os.path.normpath(target) + os.sep):
        fail('a member lies outside: ' + name)
    os.makedirs(os.path.dirname(destination), exist_ok=True)
    digest = hashlib.sha256()
    try:
        with archive.open(name) as source, open(destination, 'wb') as sink:
            while True:
                block = source.read(1 << 20)
                if not block:
                    break
                digest.update(block)
                sink.write(block)
                done += len(block)
                if done - reported > (32 << 20):
                    reported = done
                    say(done=done, total=total)
    except (zipfile.BadZipFile, EOFError) as error:
        fail('%s: %s' % (name, error))
    except Exception as error:
        if type(error).__name__ == 'error':
            fail('%s: %s' % (name, error))
        raise
    if name in record and base64.urlsafe_b64encode(digest.digest()).rstrip(b'=').decode() != record[name]:
        fail(name + ' does not match its checksum')
say(done=total, total=total)

requires = []
for line in metadata.splitlines():
    found = re.match(r'Requires-Dist: ([^;]+); extra == ["\']and-cuda["\']', line)
    if found:
        requires.append(found.group(1).strip())
say(requires=requires)
`;
