//! Cancels and timeouts.

use std::io::Write;
use std::net::TcpListener;
use std::time::Duration;

use super::sockets::{recv, tcp_pair};
use super::{compare, fd};
use crate::sys::poll::READABLE;
use crate::sys::types::CancelBuilder;
use crate::sys::{SubmissionFlags, opcode, timespec};

const FAR: Duration = Duration::from_secs(3600);

#[test]
fn a_cancel_ends_its_target_or_finds_none() {
    compare(|bench| {
        let (near, mut far) = tcp_pair();
        let mut buffer = [0; 8];
        let cancel = |target| opcode::AsyncCancel::new(target).build();
        bench.run([(2, cancel(1))]);
        bench.submit([(1, recv(&near, &mut buffer))]);
        bench.submit([(3, cancel(1))]);
        bench.collect(2);
        bench.run([(4, cancel(1))]);
        // What it would have received is for the next.
        far.write_all(b"kept").unwrap();
        bench.run([(1, recv(&near, &mut buffer))]);
        bench.run([(5, cancel(1))]);
    });
}

#[test]
fn of_two_with_one_user_data_a_cancel_ends_one() {
    compare(|bench| {
        let (near, _far) = tcp_pair();
        let (mut first, mut second) = ([0; 8], [0; 8]);
        bench.submit([(1, recv(&near, &mut first)), (1, recv(&near, &mut second))]);
        bench.submit([(2, opcode::AsyncCancel::new(1).build())]);
        bench.collect(2);
        bench.assert_quiet();
        bench.submit([(3, opcode::AsyncCancel::new(1).build())]);
        bench.collect(2);
    });
}

#[test]
fn a_receive_for_all_that_is_cancelled_half_way_reports_the_part() {
    compare(|bench| {
        let (near, mut far) = tcp_pair();
        let mut buffer = [0; 8];
        let all = opcode::Recv::new(fd(&near), buffer.as_mut_ptr(), 8).flags(libc::MSG_WAITALL);
        bench.submit([(1, all.build())]);
        far.write_all(b"part").unwrap();
        bench.assert_quiet();
        bench.submit([(2, opcode::AsyncCancel::new(1).build())]);
        bench.collect(2);
        assert_eq!(&buffer[..4], b"part");
    });
}

#[test]
fn a_cancel_of_everything_leaves_nothing() {
    compare(|bench| {
        let (near, _far) = tcp_pair();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (mut first, mut second) = ([0; 8], [0; 8]);
        let far = timespec(FAR);
        let link = SubmissionFlags::IO_LINK;
        bench.submit([
            (1, recv(&near, &mut first)),
            (2, opcode::AcceptMulti::new(fd(&listener)).build()),
            (3, opcode::Timeout::new(&far).build()),
            (4, opcode::PollAdd::new(fd(&listener), READABLE).multi(true).build()),
            (5, recv(&near, &mut second).flags(link)),
            (6, opcode::LinkTimeout::new(&far).build()),
            (7, opcode::PollAdd::new(fd(&near), READABLE).build().flags(link)),
            (8, opcode::Nop::new().build().flags(link)),
            (9, opcode::Nop::new().build()),
        ]);
        bench.assert_quiet();
        let all = CancelBuilder::any().all();
        bench.submit([(20, opcode::AsyncCancel2::new(all).build())]);
        let count = bench.collect(10)[9].result().unwrap();
        assert!(count > 0);
        // How many ends it counts is not the same.
        bench.seen.last_mut().unwrap().pop();
        bench.run([(21, opcode::AsyncCancel2::new(CancelBuilder::any().all()).build())]);
    });
}

#[test]
fn a_cancel_by_descriptor_ends_what_is_on_it() {
    compare(|bench| {
        let ((near, _far), (other, _other_far)) = (tcp_pair(), tcp_pair());
        let mut buffers = [[0; 8]; 3];
        let [first, second, third] = &mut buffers;
        bench.submit([(1, recv(&near, first)), (2, recv(&other, second)), (3, recv(&near, third))]);
        let of_near = || CancelBuilder::fd(fd(&near));
        bench.submit([(4, opcode::AsyncCancel2::new(of_near().all()).build())]);
        bench.collect(3);
        bench.run([(5, opcode::AsyncCancel2::new(of_near()).build())]);
        bench.submit([(6, opcode::AsyncCancel::new(2).build())]);
        bench.collect(2);
    });
}

#[test]
fn timeouts_fire_each_at_its_time_and_can_be_cancelled() {
    compare(|bench| {
        let times = [FAR, Duration::from_millis(2), Duration::ZERO].map(timespec);
        let [far, soon, now] = &times;
        let timeout = |time| opcode::Timeout::new(time).build();
        bench.submit([(1, timeout(far)), (2, timeout(soon)), (3, timeout(far))]);
        bench.collect(1);
        bench.run([(4, timeout(now))]);
        bench.submit([(5, opcode::AsyncCancel::new(1).build())]);
        bench.collect(2);
        bench.submit([(6, opcode::AsyncCancel::new(3).build())]);
        bench.collect(2);
    });
}
