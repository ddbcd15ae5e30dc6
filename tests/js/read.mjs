// node read.mjs STORE OUT PATH...: read arrays of a zarr with zarrita; write each one's pixels to OUT/<number>, tell their shapes.
import { writeFileSync } from "node:fs";
import { FileSystemStore } from "@zarrita/storage";
import * as zarr from "zarrita";

const [store, out, ...paths] = process.argv.slice(2);
const root = zarr.root(new FileSystemStore(store));
const told = [];
for (const [number, path] of paths.entries()) {
  const array = await zarr.open.v3(root.resolve(path), { kind: "array" });
  const { data, shape } = await zarr.get(array);
  writeFileSync(`${out}/${number}`, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  told.push({ path, shape, dtype: array.dtype });
}
console.log(JSON.stringify(told));
