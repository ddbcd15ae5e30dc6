// node viv.mjs ADDRESS...: open images with Viv's loader; tell what it found of them, and the pixels of a raster of each channel.
import { loadOmeZarr } from "@vivjs/loaders";

const told = [];
for (const address of process.argv.slice(2)) {
  const { data, metadata } = await loadOmeZarr(address, { type: "multiscales" });
  const [level] = data;
  const channels = level.labels.includes("c") ? level.shape[level.labels.indexOf("c")] : 0;
  const selections = channels ? [...Array(channels).keys()].map((c) => ({ c })) : [{}];
  const rasters = await Promise.all(selections.map((selection) => level.getRaster({ selection })));
  told.push({
    metadata, labels: level.labels, dtype: level.dtype, shapes: data.map((one) => one.shape),
    rasters: rasters.map(({ data: pixels, width, height }) => ({ width, height, pixels: Array.from(pixels) })),
  });
}
console.log(JSON.stringify(told));
