// Pan and zoom of the drawing.

export class View {
  constructor(svg) {
    this.svg = svg;
    this.x = 0;
    this.y = 0;
    this.scale = 1;
    this.touched = false;
    svg.addEventListener('wheel', (event) => {
      event.preventDefault();
      this.zoom(event.deltaY < 0 ? 1.12 : 1 / 1.12, event.offsetX, event.offsetY);
    }, { passive: false });
    svg.addEventListener('pointerdown', (event) => this.#drag(event));
  }

  #drag(down) {
    if (down.target.closest('[data-kind]')) return;
    const { x, y } = this;
    const move = (event) => {
      this.x = x + event.clientX - down.clientX;
      this.y = y + event.clientY - down.clientY;
      this.touched = true;
      this.apply();
    };
    this.svg.setPointerCapture(down.pointerId);
    this.svg.addEventListener('pointermove', move);
    this.svg.addEventListener('pointerup', () => this.svg.removeEventListener('pointermove', move), { once: true });
  }

  zoom(factor, atX = this.svg.clientWidth / 2, atY = this.svg.clientHeight / 2) {
    const scale = Math.min(3, Math.max(0.15, this.scale * factor));
    this.x = atX - ((atX - this.x) * scale) / this.scale;
    this.y = atY - ((atY - this.y) * scale) / this.scale;
    this.scale = scale;
    this.touched = true;
    this.apply();
  }

  /** Shows all points, unless the user has taken hold of the picture. */
  fit(points, force = false) {
    if ((this.touched && !force) || !points.size) return this.apply();
    const xs = [...points.values()].map((point) => point.x);
    const ys = [...points.values()].map((point) => point.y);
    const [left, right] = [Math.min(...xs) - 90, Math.max(...xs) + 90];
    const [top, bottom] = [Math.min(...ys) - 70, Math.max(...ys) + 90];
    const { clientWidth: width, clientHeight: height } = this.svg;
    this.scale = Math.min(1.3, width / (right - left), height / (bottom - top));
    this.x = width / 2 - ((left + right) / 2) * this.scale;
    this.y = height / 2 - ((top + bottom) / 2) * this.scale;
    this.touched = false;
    this.apply();
  }

  apply() {
    this.svg.querySelector('.view')?.setAttribute('transform', `translate(${this.x} ${this.y}) scale(${this.scale})`);
  }
}
