#!/bin/sh
# The first process of the machine: runs each test binary, prints what it says between lines that
# begin with @@, and powers the machine off. ci/kernels reads the console. Settings: /settings.
export PATH=/usr/bin:/bin HOME=/root TMPDIR=/tmp RUST_BACKTRACE=0 RUST_TEST_THREADS=2
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev 2>/dev/null || mount -t tmpfs dev /dev
[ -c /dev/null ] || mknod -m 666 /dev/null c 1 3
[ -c /dev/zero ] || mknod -m 666 /dev/zero c 1 5
[ -c /dev/urandom ] || mknod -m 666 /dev/urandom c 1 9
[ -e /dev/fd ] || ln -s /proc/self/fd /dev/fd
mkdir -p /dev/shm /dev/pts
mount -t tmpfs -o mode=1777 tmp /tmp
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t devpts pts /dev/pts 2>/dev/null
mount -t tmpfs run /run
ip link set lo up
hostname annulus
chmod 755 /
ulimit -n 20000
. /settings
export ANNULUS_PATIENCE=$patience

# Runs a command, bounded in time, between two lines for ci/kernels: what NAME RING SECONDS COMMAND...
what() {
    name=$1 ring=$2 limit=$3
    shift 3
    echo "@@ begin $name $ring"
    before=$(cut -d' ' -f1 /proc/uptime)
    timeout -s KILL "$limit" "$@" </dev/null >/tmp/log 2>&1
    status=$?
    after=$(cut -d' ' -f1 /proc/uptime)
    cat /tmp/log
    echo
    echo "@@ end $name $ring $status $before $after"
}

# A test binary; one whose watchdog ends it is run again without the test that hung.
binary() {
    skip=
    for try in 1 2 3; do
        what "$1" "$2" $((120 * patience)) sh -c "cd /t/tree && exec /t/deps/$1 $filter $skip"
        hung=$(sed -n 's/^test \(.*\) hangs: .*/\1/p' /tmp/log | head -n 1)
        [ -n "$hung" ] || break
        skip="$skip --skip $hung"
    done
}

# A server and its client, as the user $2, behind what is asked of a machine first: does it run here?
service() {
    what "doctor" "$1" $((10 * patience)) su -s /bin/sh "$2" -c /t/examples/doctor
    what "echo" "$1" $((20 * patience)) su -s /bin/sh "$2" -c /run/echo
}
cat >/run/echo <<'END'
#!/bin/sh
/t/examples/echo 127.0.0.1:7001 &
server=$!
for try in $(seq 50); do
    answer=$(echo hello | /t/examples/client 127.0.0.1:7001)
    [ "$answer" = hello ] && break
    sleep 0.2
done
kill $server && wait $server && [ "$answer" = hello ]
END
chmod 755 /run/echo

switch=/proc/sys/kernel/io_uring_disabled
echo "@@ kernel $(uname -r) $(nproc)"
for ring in $rings; do
    [ "$ring" = kernel ] || export ANNULUS_RING=$ring
    # The portable ring must need nothing of io_uring: it is off while that one is tested.
    [ "$ring" = portable ] && [ -e $switch ] && echo 2 >$switch
    service "$ring" root
    # Too old a kernel has no ring that would be used: its tests are those of the portable one.
    [ "$ring" = kernel ] && /t/examples/doctor | tail -n 1 | grep -q "on the portable ring" && continue
    for each in $binaries; do
        # The contract is what the driver assumes of the kernel's ring.
        [ "$each-$ring" = contract-portable ] || binary "$each" "$ring"
    done
done
unset ANNULUS_RING
if [ -e $switch ]; then
    echo 1 >$switch
    service unprivileged nobody
    echo 2 >$switch
    service disabled root
fi
echo "@@ begin dmesg -"
dmesg | grep -E "WARNING|BUG|Oops|Call Trace|general protection|hung_task|out of memory|segfault" | head -n 40
echo "@@ end dmesg - 0 0 0"
echo "@@ done"
poweroff -f
