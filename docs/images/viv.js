// The page on which make.py shows a result in Viv: the image in the colours of its `omero`, objects on it, their names, a scale bar.
import { Deck, OrthographicView } from "@deck.gl/core";
import { SolidPolygonLayer } from "@deck.gl/layers";
import { AdditiveColormapExtension, ColorPaletteExtension, MultiscaleImageLayer, ScaleBarLayer, loadOmeZarr } from "@hms-dbmi/viv";

const { address, target, zoom, ids } = JSON.parse(decodeURIComponent(location.hash.slice(1)));
const load = (path) => loadOmeZarr(`${address}${path}`, { type: "multiscales" });
const [slide, objects] = await Promise.all([load(""), load("labels/objects")]);
const { omero: { channels }, multiscales: [image] } = slide.metadata;
const x = image.axes.findIndex((axis) => axis.name === "x");
const rgb = (color) => [0, 2, 4].map((at) => parseInt(color.slice(at, at + 2), 16));
const inView = (view) => `-#${view}#`; // Viv finds the layers of a view by their names
const size = { width: innerWidth, height: innerHeight };

const layers = [
  new MultiscaleImageLayer({
    id: `image${inView("view")}`, loader: slide.data,
    selections: channels.map((_, c) => ({ c })),
    channelsVisible: channels.map((one) => one.active),
    contrastLimits: channels.map((one) => [one.window.start, one.window.end]),
    colors: channels.map((one) => rgb(one.color)),
    extensions: [new ColorPaletteExtension()],
  }),
  new MultiscaleImageLayer({
    id: `objects${inView("view")}`, loader: objects.data, selections: [{}], channelsVisible: [true], contrastLimits: [ids],
    colormap: "jet", useTransparentColor: true, opacity: 0.5, excludeBackground: true, refinementStrategy: "no-overlap",
    extensions: [new AdditiveColormapExtension()],
  }),
  new SolidPolygonLayer({ // Viv's bar is light, and so is the slide
    id: `plate${inView("scale")}`, getFillColor: [0, 0, 0, 200], getPolygon: (corners) => corners,
    data: [[[0, 1], [0.13, 1], [0.13, 0.89], [0, 0.89]].map(([right, down]) => [right * size.width, down * size.height])],
  }),
  new ScaleBarLayer({
    id: inView("scale"), imageViewState: { target, zoom, ...size }, ...size, snap: true, position: "bottom-left", length: 0.05,
    unit: image.axes[x].unit === "micrometer" ? "µm" : image.axes[x].unit,
    size: image.datasets[0].coordinateTransformations[0].scale[x],
  }),
];
const names = [...channels.map((one) => [`${image.name}: ${one.label}`, `#${one.color}`]), [objects.metadata.multiscales[0].name, "#ffffff"]];
for (const [name, color] of names) {
  const line = Object.assign(document.createElement("div"), { textContent: name });
  line.style.color = color;
  document.getElementById("names").append(line);
}
new Deck({
  parent: document.getElementById("view"), width: "100%", height: "100%", layers,
  views: [new OrthographicView({ id: "view" }), new OrthographicView({ id: "scale", controller: false })],
  initialViewState: { view: { target, zoom }, scale: { target: [size.width / 2, size.height / 2, 0], zoom: 0 } },
  layerFilter: ({ layer, viewport }) => layer.id.includes(inView(viewport.id)),
  onAfterRender: () => { globalThis.isLoaded = layers.every((layer) => layer.isLoaded); },
  onError: (error) => { globalThis.failure = String(error); },
});
