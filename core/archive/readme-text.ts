/** README.txt of every archive: enough for somebody who finds the folder and has nothing else. Its bytes are signed by genesis. */

export const README_TEXT = `This folder is an archive of events that hooktrail received, and it explains itself.

genesis.note        what this archive is, signed by its root key; names the SHA-256 of this file, formats.md and tools/
formats.md          every format here, byte by byte, with test values
tools/              a verifier that needs nothing of hooktrail (Python)
data/               the events: JSON lines (zstd -d, gzip -d, or any DuckDB) or Parquet, as the names end
segments/           one signed note for each data object: range of offsets, SHA-256, Merkle root, hash of the note before
heartbeats/         one signed note a minute while events come: what was there at that time, chained by hash

No object is ever changed or replaced. Anything that is changed, missing, added or cut off contradicts a signature.

To check everything, with the public key that you were given by somebody else than this folder:

    hooktrail archive verify FOLDER --key FILE.pub

Or without hooktrail; take the program from a release, or compare its SHA-256, since what lies here is no witness of itself:

    pip install cryptography zstandard pyarrow
    python3 tools/VERSION/hooktrail_verify.py FOLDER --key FILE.pub

To read the events of one topic:

    hooktrail archive cat FOLDER --topic TOPIC

To look at them without hooktrail:

    zstd -dc data/topic=*/dt=*/hour=*/*.jsonl.zst | head
    duckdb -c "select event_id, event_type, value from read_json('data/**/*.jsonl.zst', format = 'newline_delimited')"
    duckdb -c "select event_id, event_type, decode(value) from 'data/**/*.parquet'"

Trust a query only for objects that a note in segments/ names: list them with "hooktrail archive ls FOLDER".
`
