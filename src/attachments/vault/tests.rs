use std::os::unix::fs::PermissionsExt;

use futures_util::TryStreamExt;
use rstest::rstest;
use secrecy::SecretBox;
use tempfile::TempDir;

use super::*;

fn sealer(key: u8) -> Sealer {
    Sealer::new(SecretBox::new(Box::new([key; 32])))
}

async fn vault() -> (TempDir, Vault) {
    let dir = TempDir::new().unwrap();
    let vault = Vault::open(&dir.path().join("db.files"), sealer(1)).await;
    (dir, vault.unwrap())
}

/// Bytes that differ from place to place.
fn content(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at / 251 + at) as u8).collect()
}

async fn read(vault: &Vault, file: &FileRef) -> Result<Vec<u8>, VaultError> {
    let chunks: Vec<_> = vault.read(file).await?.into_chunks().try_collect().await?;
    Ok(chunks.concat())
}

fn path(vault: &Vault, file: &FileRef) -> PathBuf {
    vault.folder.join(&file.name.0)
}

fn names(vault: &Vault) -> Vec<String> {
    let entries = std::fs::read_dir(&vault.folder).unwrap();
    let name = |entry: io::Result<std::fs::DirEntry>| entry.unwrap().file_name();
    let mut names: Vec<String> = entries
        .map(|entry| name(entry).to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[rstest]
#[case::nothing(0)]
#[case::a_byte(1)]
#[case::a_chunk(CHUNK)]
#[case::a_chunk_and_a_byte(CHUNK + 1)]
#[case::two_chunks_and_some(2 * CHUNK + 77)]
#[tokio::test]
async fn what_was_put_comes_back(#[case] size: usize) {
    let (_dir, vault) = vault().await;
    let bytes = content(size);
    let file = vault.put(&bytes).await.unwrap();
    assert_eq!(file.size, size as u64);
    let whole = read(&vault, &file).await.unwrap();
    assert!(whole == bytes);
}

#[tokio::test]
async fn a_file_is_written_in_pieces_and_read_in_chunks() {
    let (_dir, vault) = vault().await;
    let bytes = content(CHUNK + 9_000);
    let mut deposit = vault.create().await.unwrap();
    for piece in bytes.chunks(7_777) {
        deposit.write(piece).await.unwrap();
    }
    let file = deposit.finish().await.unwrap();
    let mut withdrawal = vault.read(&file).await.unwrap();
    let mut chunks = Vec::new();
    while let Some(chunk) = withdrawal.chunk().await.unwrap() {
        chunks.push(chunk);
    }
    assert_eq!(
        chunks.iter().map(Bytes::len).collect::<Vec<_>>(),
        [CHUNK, 9_000]
    );
    assert!(chunks.concat() == bytes);
}

#[tokio::test]
async fn on_the_disk_it_is_sealed_and_for_this_user_only() {
    let (_dir, vault) = vault().await;
    let bytes = content(5_000);
    let file = vault.put(&bytes).await.unwrap();
    let sealed = std::fs::read(path(&vault, &file)).unwrap();
    assert_eq!(sealed.len() as u64, sealed_length(file.size));
    assert!(bytes.windows(8).step_by(8).all(|part| {
        let mut windows = sealed.windows(8);
        windows.all(|window| window != part)
    }));
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path(&vault, &file)), 0o600);
    assert_eq!(mode(&vault.folder), 0o700);
}

#[tokio::test]
async fn a_changed_cut_or_lengthened_file_is_damaged() {
    let (_dir, vault) = vault().await;
    let file = vault.put(&content(CHUNK + 5)).await.unwrap();
    let whole = std::fs::read(path(&vault, &file)).unwrap();
    let mut changed = whole.clone();
    changed[CHUNK / 2] ^= 1;
    let mut longer = whole.clone();
    longer.push(0);
    for broken in [
        changed,
        longer,
        whole[..whole.len() - 1].to_vec(),
        whole[..STREAM_HEADER + CHUNK + CHUNK_OVERHEAD].to_vec(),
        vec![],
    ] {
        std::fs::write(path(&vault, &file), broken).unwrap();
        let read = read(&vault, &file).await;
        assert!(matches!(read, Err(VaultError::Damaged(_))));
    }
}

#[tokio::test]
async fn a_file_in_anothers_place_or_with_another_key_is_damaged() {
    let (_dir, vault) = vault().await;
    let one = vault.put(b"the photo of one").await.unwrap();
    let two = vault.put(b"the photo of two").await.unwrap();
    std::fs::copy(path(&vault, &one), path(&vault, &two)).unwrap();
    assert!(matches!(
        read(&vault, &two).await,
        Err(VaultError::Damaged(_))
    ));
    let other = Vault::open(&vault.folder, sealer(2)).await.unwrap();
    assert!(matches!(
        read(&other, &one).await,
        Err(VaultError::Damaged(_))
    ));
    assert!(read(&vault, &one).await.is_ok());
}

#[tokio::test]
async fn a_removed_file_is_missing_and_may_be_removed_again() {
    let (_dir, vault) = vault().await;
    let file = vault.put(b"x").await.unwrap();
    vault.remove(&file.name).await.unwrap();
    vault.remove(&file.name).await.unwrap();
    assert!(matches!(
        vault.read(&file).await,
        Err(VaultError::Missing(name)) if name == file.name
    ));
}

#[tokio::test]
async fn nothing_is_left_of_a_file_that_was_not_finished() {
    let (_dir, vault) = vault().await;
    let mut deposit = vault.create().await.unwrap();
    deposit.write(&content(CHUNK + 1)).await.unwrap();
    assert_eq!(names(&vault).len(), 1);
    drop(deposit);
    assert_eq!(names(&vault), Vec::<String>::new());
}

#[tokio::test]
async fn a_sweep_removes_what_nothing_refers_to_and_nothing_else() {
    let (_dir, vault) = vault().await;
    let kept = vault.put(b"kept").await.unwrap();
    vault.put(b"left by a crash").await.unwrap();
    std::fs::write(vault.folder.join("README"), "of an administrator").unwrap();
    let keep = HashSet::from([kept.name.clone()]);
    assert_eq!(vault.sweep(&keep).await.unwrap(), 1);
    let mut left = vec!["README".to_owned(), kept.name.to_string()];
    left.sort();
    assert_eq!(names(&vault), left);
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_an_error_that_names_it() {
    let (dir, vault) = vault().await;
    std::fs::remove_dir(&vault.folder).unwrap();
    let error = vault.put(b"x").await.unwrap_err();
    assert!(matches!(&error, VaultError::Io { folder, .. } if folder.starts_with(dir.path())));
    assert!(error.to_string().contains("db.files"), "{error}");
    let nowhere = Vault::open(&dir.path().join("no/where"), sealer(1)).await;
    assert!(matches!(nowhere, Err(VaultError::Io { .. })));
}

#[tokio::test]
async fn a_full_disk_is_told_apart() {
    let (_dir, vault) = vault().await;
    let error = vault.fault(io::ErrorKind::StorageFull.into());
    assert!(matches!(error, VaultError::Full { .. }));
    // As the kernel says it of a device that is always full.
    let full = std::fs::write("/dev/full", "x").unwrap_err();
    assert!(matches!(vault.fault(full), VaultError::Full { .. }));
}

#[test]
fn a_name_that_leads_elsewhere_is_none() {
    for raw in ["", "../db", "/etc/passwd", &"A".repeat(32), &"0".repeat(31)] {
        assert!(raw.parse::<FileName>().is_err(), "{raw}");
    }
    let written = format!("\"{}\"", "../../../../../../../../../../db");
    assert!(serde_json::from_str::<FileName>(&written).is_err());
}

#[tokio::test]
async fn a_reference_survives_being_written_down() {
    let (_dir, vault) = vault().await;
    let file = vault.put(b"x").await.unwrap();
    let written = serde_json::to_string(&file).unwrap();
    assert_eq!(serde_json::from_str::<FileRef>(&written).unwrap(), file);
}
