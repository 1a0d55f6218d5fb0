//! AES in ECB mode with PKCS#7 padding, for keys of all three lengths.

use std::fmt;

use aes::{Aes128, Aes192, Aes256};
use ecb::cipher::block_padding::Pkcs7;
use ecb::cipher::{
    BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, KeyInit,
    common::InnerInit,
};
use ecb::{Decryptor, Encryptor};

/// The length of a block of AES, in bytes.
pub(super) const BLOCK: usize = 16;

/// The cipher that the length of a key chooses.
pub(super) enum Cipher {
    Aes128(Box<Aes128>),
    Aes192(Box<Aes192>),
    Aes256(Box<Aes256>),
}

impl Cipher {
    /// `None` for a key of a length that AES does not have.
    pub(super) fn new(key: &[u8]) -> Option<Self> {
        match key.len() {
            16 => Some(Self::Aes128(Box::new(Aes128::new_from_slice(key).ok()?))),
            24 => Some(Self::Aes192(Box::new(Aes192::new_from_slice(key).ok()?))),
            32 => Some(Self::Aes256(Box::new(Aes256::new_from_slice(key).ok()?))),
            _ => None,
        }
    }

    pub(super) fn encrypt(&self, plain: &[u8]) -> Vec<u8> {
        match self {
            Self::Aes128(cipher) => encrypt(&**cipher, plain),
            Self::Aes192(cipher) => encrypt(&**cipher, plain),
            Self::Aes256(cipher) => encrypt(&**cipher, plain),
        }
    }

    /// `None` for what is not made of whole blocks, or not padded as it should be.
    pub(super) fn decrypt(&self, blocks: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Aes128(cipher) => decrypt(&**cipher, blocks),
            Self::Aes192(cipher) => decrypt(&**cipher, blocks),
            Self::Aes256(cipher) => decrypt(&**cipher, blocks),
        }
    }
}

fn encrypt<C: BlockCipherEncrypt + Clone>(cipher: &C, plain: &[u8]) -> Vec<u8> {
    Encryptor::inner_init(cipher.clone()).encrypt_padded_vec::<Pkcs7>(plain)
}

fn decrypt<C: BlockCipherDecrypt + Clone>(cipher: &C, blocks: &[u8]) -> Option<Vec<u8>> {
    Decryptor::inner_init(cipher.clone())
        .decrypt_padded_vec::<Pkcs7>(blocks)
        .ok()
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aes128(_) => "Aes128",
            Self::Aes192(_) => "Aes192",
            Self::Aes256(_) => "Aes256",
        })
    }
}
