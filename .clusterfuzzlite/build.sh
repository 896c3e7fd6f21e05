#!/bin/bash -eu
# Builds every fuzz target, with its seeds and the dictionary, into $OUT.
cd "$SRC/pulsewire"
cargo fuzz build -O
for target in $(cargo fuzz list); do
    cp "fuzz/target/x86_64-unknown-linux-gnu/release/$target" "$OUT/"
    cp fuzz/pulsewire.dict "$OUT/$target.dict"
    if [ -d "fuzz/corpus/$target" ]; then
        zip --quiet --junk-paths "$OUT/${target}_seed_corpus.zip" "fuzz/corpus/$target"/*
    fi
done
