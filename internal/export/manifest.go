package export

import (
	"encoding/base64"
	"encoding/binary"
	"time"
)

// The bounds of a split export.
const (
	// MinRowsPerFile and MaxRowsPerFile bound Spec.MaxRowsPerFile.
	MinRowsPerFile = 100
	MaxRowsPerFile = 1_000_000_000
	// MaxFiles is how many files an export may be split into.
	MaxFiles = 1000
)

// Manifest lists the files of a split export. It is published last, as one
// object, so where it is all of them are.
type Manifest struct {
	Version           int            `json:"version"` // 1
	ExportID          string         `json:"exportId"`
	Dataset           string         `json:"dataset"`
	AsOf              time.Time      `json:"asOf"` // of the snapshot that all files are of
	Order             Order          `json:"order"`
	Rows              int64          `json:"rows"`
	UncompressedBytes int64          `json:"uncompressedBytes"`
	Bytes             int64          `json:"bytes"` // of the files
	MaxRowsPerFile    int64          `json:"maxRowsPerFile"`
	Files             []ManifestFile `json:"files"` // in the order of the rows
}

// ManifestFile is a file of a split export, which is one of its own: with
// byte order mark and header, if the format has them.
type ManifestFile struct {
	Number            int      `json:"number"` // from 1
	Name              string   `json:"name"`
	Rows              int64    `json:"rows"`
	UncompressedBytes int64    `json:"uncompressedBytes"`
	Bytes             int64    `json:"bytes"`
	Checksum          Checksum `json:"checksum"`
}

// ManifestVersion is that of this program's manifests.
const ManifestVersion = 1

// Checksum is a checksum as S3 shows it: of the object's bytes, base64.
type Checksum struct {
	Algorithm string `json:"algorithm"` // CRC32
	Type      string `json:"type"`      // FULL_OBJECT
	Value     string `json:"value"`
}

// ChecksumOf is the checksum of an object with this CRC-32 (IEEE polynomial).
func ChecksumOf(crc uint32) Checksum {
	value := base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc))
	return Checksum{Algorithm: "CRC32", Type: "FULL_OBJECT", Value: value}
}
