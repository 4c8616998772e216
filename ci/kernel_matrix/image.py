"""The initial file system: a cpio archive in the format `newc`, made without root and without mounts."""

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

# Programs that the tests start and that busybox lacks or has with other options. What is missing on
# this machine is missing there, and the tests say that they are skipped.
PROGRAMS = ["nc", "socat", "flock"]
FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/tmp:/bin/sh\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/shadow": "root:*:1::::::\nnobody:*:1::::::\n",
    "etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "etc/services": "http 80/tcp\nhttps 443/tcp\n",
}
# What the tests find in the directory in which cargo runs them.
TREE = ["Cargo.toml", "README.md"]
DIRECTORIES = ["t/tree/src", "proc", "sys", "dev", "tmp", "run", "root", "usr/bin", "usr/sbin", "sbin"]


def libraries(program):
    """The shared libraries of a program, at the paths where it looks for them."""
    done = subprocess.run(["ldd", str(program)], text=True, capture_output=True)
    return re.findall(r"(/\S+) \(0x", done.stdout)


def tree(root, init, tests, examples):
    """The files to boot with: path -> (mode, bytes)."""
    files = {name: (0o644, text.encode()) for name, text in FILES.items()}
    files.update({name: (stat.S_IFDIR | 0o755, b"") for name in DIRECTORIES})
    files.update({f"t/tree/{name}": (0o644, (root / name).read_bytes()) for name in TREE})
    files["init"] = (0o755, init.read_bytes())
    busybox = Path(shutil.which("busybox"))
    files["bin/busybox"] = (0o755, busybox.read_bytes())
    for name in subprocess.run([busybox, "--list"], text=True, capture_output=True).stdout.split():
        files.setdefault(f"bin/{name}", (stat.S_IFLNK | 0o777, b"busybox"))
    # As cargo places them: a test looks for the examples beside its own directory.
    programs = {f"t/deps/{name}": path for name, path in tests}
    programs |= {f"t/examples/{name}": path for name, path in examples}
    programs |= {f"usr/bin/{name}": shutil.which(name) for name in PROGRAMS if shutil.which(name)}
    for place, path in programs.items():
        files[place] = (0o755, Path(path).read_bytes())
        for library in libraries(path):
            files[library.lstrip("/")] = (0o755, Path(library).read_bytes())
    return files


def archive(files):
    """The archive of `files`: path -> (mode, bytes); a mode without a type is that of a file."""
    entries = {}
    for name, content in files.items():
        for parent in Path(name).parents:
            if str(parent) != ".":
                entries.setdefault(str(parent), (stat.S_IFDIR | 0o755, b""))
        entries[name] = content
    parts = []
    # Directories come before what is in them.
    for number, name in enumerate(sorted(entries), 1):
        mode, content = entries[name]
        mode = mode if stat.S_IFMT(mode) else stat.S_IFREG | mode
        parts.append(member(number, name, mode, content))
    parts.append(member(0, "TRAILER!!!", 0, b""))
    # Another archive may follow, which begins at a multiple of four.
    return b"".join(parts)


def member(number, name, mode, content):
    numbers = [number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0]
    header = b"070701" + "".join(f"{it:08x}" for it in numbers).encode()
    return padded(header + os.fsencode(name) + b"\0") + padded(content)


def padded(part):
    return part + bytes(-len(part) % 4)
