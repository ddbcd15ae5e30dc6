/* One result on the screen: its layers in OpenSeadragon, and where things lie in it.
 *
 * The ground: pixels of level 0 of the page's slide. Places are told in them, in the address, under the mouse and between two
 * panes. Inside a pane places are in pixels of its class map: its world.
 */

import { ask, busy, make, tell } from "../common.js";
import { app, tellOthers } from "./app.js";
import { tileSource } from "./tiles.js";

const SETTINGS = {
  drawer: "canvas", showNavigationControl: false, navigatorAutoFade: false, navigatorOpacity: 1, preserveViewport: true,
  navigatorPosition: "BOTTOM_RIGHT", navigatorSizeRatio: 0.16, maxZoomPixelRatio: 40, minZoomImageRatio: 0.6,
  visibilityRatio: 0.2, animationTime: 0.5, imageLoaderLimit: 6, maxImageCacheCount: 400, timeout: 180000,
  preserveImageSizeOnResize: true,
};

export class Pane {
  constructor(element, base, facts) {
    this.element = element;
    this.base = base; // in front of what is asked of the server
    this.facts = facts;
    this.items = {}; // layer -> OpenSeadragon's TiledImage
    this.perGround = { x: 1 / facts.scale.x, y: 1 / facts.scale.y }; // pixels of the world in one of the ground
    this.measures = []; // names of the columns that objects can be shown and coloured by
    this.marked = null;
  }

  /** Return the pane of a result, or null where the server can't tell what is in it. */
  static async of(element, base) {
    const facts = await ask(`${base}facts`);
    return facts && new Pane(element, base, facts);
  }

  /** Ask for the measures of the objects; return the answer, null where there are no objects. */
  async askMeasures() {
    const told = this.facts.number ? await ask(`${this.base}measures`) : null;
    this.measures = told?.measures ?? [];
    return told;
  }

  build({ navigator }) {
    this.viewer = OpenSeadragon({
      ...SETTINGS, element: this.element, showNavigator: navigator,
      subPixelRoundingForTransparency: OpenSeadragon.SUBPIXEL_ROUNDING_OCCURRENCES.ALWAYS,
      gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
      gestureSettingsTouch: { clickToZoom: false, dblClickToZoom: true },
    });
    this.viewer.innerTracker.keyDownHandler = this.viewer.innerTracker.keyHandler = null; // keys.js has them all
    this.viewer.addHandler("update-viewport", () => { this.sharpen(); tellOthers("move", this); });
  }

  showAll() {
    return Promise.all(Object.keys(this.facts.layers).map((name) => this.showLayer(name)));
  }

  /** Show a layer, in place of what was shown of it. */
  showLayer(name) {
    if (!this.facts.layers[name]) return null;
    return busy(() => new Promise((done) => {
      this.viewer.addTiledImage({
        // the lowest layer comes first, here as with the server
        tileSource: tileSource(this, name), index: Object.keys(this.facts.layers).indexOf(name), replace: this.items[name] !== undefined,
        // all layers show the same ground, whatever the size of their pixels
        x: 0, y: 0, width: 1, opacity: app.state.opacity[name],
        success: ({ item }) => { this.items[name] = item; done(); },
        error: ({ message }) => { tell(message); done(); },
      });
    }));
  }

  /** Return which plane is shown: of a stack that is shorter than the other, its last one. */
  plane() { return Math.min(app.state.plane, this.facts.planes - 1); }

  isSettled() {
    const shown = Object.keys(this.items).filter((name) => app.state.opacity[name] > 0);
    const there = Object.keys(this.items).length === Object.keys(this.facts.layers).length;
    return there && shown.every((name) => this.items[name].getFullyLoaded()) && !this.viewer.world.needsDraw();
  }

  // --- places

  size() { return this.viewer.viewport.getContainerSize(); }

  /** Return pixels of the screen in one of the world. */
  zoom() { return (this.viewer.viewport.getZoom(true) * this.size().x) / this.facts.columns; }

  /** Return the middle of the view, on the ground. */
  center() { return this.onGround(this.viewer.viewport.getCenter(true)); }

  onGround(point) {
    return { x: (point.x * this.facts.columns) / this.perGround.x, y: (point.y * this.facts.columns) / this.perGround.y };
  }

  /** Return OpenSeadragon's point of a place in the world. */
  point(x, y) { return new OpenSeadragon.Point(x / this.facts.columns, y / this.facts.columns); }

  /** Return where a place on the ground is inside the pane, in pixels of the screen. */
  pixelOf({ x, y }) {
    return this.viewer.viewport.pixelFromPoint(this.point(x * this.perGround.x, y * this.perGround.y), true);
  }

  /** Return the place on the ground at a pixel of the pane. */
  groundAt(pixel) { return this.onGround(this.viewer.viewport.pointFromPixel(new OpenSeadragon.Point(pixel.x, pixel.y), true)); }

  /** Return the pixel of the class map at a place on the ground; null outside. */
  worldAt(place) {
    const [x, y] = [Math.floor(place.x * this.perGround.x), Math.floor(place.y * this.perGround.y)];
    return x >= 0 && y >= 0 && x < this.facts.columns && y < this.facts.rows ? { x, y } : null;
  }

  /** Look at a place on the ground, at so many pixels of the screen for one of the world if that is said. */
  lookAt(place, zoom, immediately) {
    if (zoom) this.viewer.viewport.zoomTo((zoom * this.facts.columns) / this.size().x, null, immediately);
    this.viewer.viewport.panTo(this.point(place.x * this.perGround.x, place.y * this.perGround.y), immediately);
  }

  /** Draw a frame around a box of the world. */
  mark(x, y, width, height) {
    this.unmark();
    this.marked = make("div", { className: "mark" });
    const corner = this.point(x, y);
    const side = this.facts.columns;
    this.viewer.addOverlay({ element: this.marked, location: new OpenSeadragon.Rect(corner.x, corner.y, width / side, height / side) });
  }

  unmark() {
    if (this.marked) this.viewer.removeOverlay(this.marked);
    this.marked = null;
  }

  /** People want to see pixels where they are larger than the screen's. */
  sharpen() {
    const { layers, columns } = this.facts;
    const smooth = this.zoom() / Math.max(1, layers.image ? layers.image.columns / columns : 1) < 1.5;
    if (this.isSmooth === smooth) return;
    this.isSmooth = smooth;
    this.viewer.drawer.setImageSmoothingEnabled(smooth);
  }
}
