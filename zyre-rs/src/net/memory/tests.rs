use super::*;
use bytes::BytesMut;
use std::io::IoSlice;
use std::time::Duration;
use tokio::time::timeout;

async fn connected(one: &Host, other: &Host) -> (Pipe, Pipe) {
    let listener = other.bind("0.0.0.0:0".parse().unwrap()).unwrap();
    let near = one.connect(listener.local_addr()).await.unwrap();
    let (far, from) = listener.accept().await.unwrap();
    assert_eq!(from, near.local_addr().unwrap());
    (near, far)
}

fn write(pipe: &Pipe, bytes: &[u8]) -> io::Result<usize> {
    pipe.try_write_vectored(&[IoSlice::new(bytes)])
}

async fn read(pipe: &Pipe) -> io::Result<Vec<u8>> {
    pipe.readable().await?;
    let mut buffer = BytesMut::with_capacity(16);
    pipe.try_read_buf(&mut buffer)?;
    Ok(buffer.to_vec())
}

#[tokio::test(start_paused = true)]
async fn a_full_pipe_blocks_until_it_is_read_and_ends_after_its_last_byte() {
    let network = MemoryNetwork::new();
    let (near, far) = connected(&network.attach(), &network.attach()).await;
    let bytes: Vec<u8> = (0..100_000_u32).map(|n| n as u8).collect();
    let sending = tokio::spawn({
        let bytes = bytes.clone();
        async move {
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                match write(&near, rest) {
                    Ok(written) => rest = &rest[written..],
                    Err(_) => near.writable().await.unwrap(),
                }
            }
        }
    });
    let mut received = Vec::new();
    while let part = read(&far).await.unwrap()
        && !part.is_empty()
    {
        received.extend(part);
    }
    assert_eq!(received, bytes);
    sending.await.unwrap();
    assert_eq!(write(&far, b"x").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
}

#[tokio::test(start_paused = true)]
async fn a_partition_holds_everything_back_and_healing_loses_no_byte_of_a_connection() {
    let network = MemoryNetwork::new();
    let (one, other, third) = (network.attach(), network.attach(), network.attach());
    assert_eq!([one.ip(), other.ip()].map(|ip| ip.to_string()), ["10.0.0.1", "10.0.0.2"]);
    let (near, far) = connected(&one, &other).await;
    let buses = [&one, &other, &third].map(|host| host.beacons(5670));
    let listener = other.bind("10.0.0.2:7".parse().unwrap()).unwrap();

    network.partition(other.ip(), one.ip());
    write(&near, b"late").unwrap();
    buses[0].send(b"beacon");
    let second = Duration::from_secs(1);
    timeout(second, read(&far)).await.unwrap_err();
    timeout(second, one.connect(listener.local_addr())).await.unwrap_err();
    timeout(second, buses[1].receive()).await.unwrap_err();
    for heard in [&buses[0], &buses[2]] {
        assert_eq!(timeout(second, heard.receive()).await.unwrap().0, "beacon");
    }

    let connecting = tokio::spawn(async move { one.connect(listener.local_addr()).await.map(|_| ()) });
    tokio::task::yield_now().await;
    network.heal(near.local_addr().unwrap().ip(), other.ip());
    assert_eq!(timeout(second, read(&far)).await.unwrap().unwrap(), b"late");
    // The listener went with the task, after the connection was made.
    connecting.await.unwrap().unwrap();
    network.reset(near.local_addr().unwrap().ip(), other.ip());
    assert_eq!(read(&far).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test(start_paused = true)]
async fn nobody_listening_refuses_and_a_taken_or_foreign_address_is_an_error() {
    let network = MemoryNetwork::new();
    let (one, other) = (network.attach(), network.attach());
    let address = "10.0.0.1:49152".parse().unwrap();
    assert_eq!(other.connect(address).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    let listener = one.bind(address).unwrap();
    assert_eq!(one.bind(address).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    assert_eq!(other.bind(address).unwrap_err().kind(), io::ErrorKind::AddrNotAvailable);
    drop(listener);
    assert_eq!(other.connect(address).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    one.bind(address).unwrap();
}
