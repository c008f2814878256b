// Plays the episodes of the page: each is a list of drawings, and a drawing a list of commands (see envs/sketching.py).
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("films").textContent);
  const images = {};

  const draw = {
    disc(pen, x, y, radius, thick, colour, alpha) {
      pen.globalAlpha = alpha;
      pen.beginPath();
      pen.arc(x, y, Math.max(radius - thick / 2, 0), 0, 2 * Math.PI);
      finish(pen, thick, colour);
    },
    panel(pen, left, top, width, height, thick, corner, colour, alpha) {
      pen.globalAlpha = alpha;
      pen.beginPath();
      const inset = thick / 2;
      const box = [left + inset, top + inset, Math.max(width - thick, 0), Math.max(height - thick, 0)];
      if (corner && pen.roundRect) pen.roundRect(...box, Math.max(corner - inset, 0));
      else pen.rect(...box);
      finish(pen, thick, colour);
    },
    shape(pen, colour, alpha, ...places) {
      pen.globalAlpha = alpha;
      pen.beginPath();
      for (let k = 0; k < places.length; k += 2) pen.lineTo(places[k], places[k + 1]);
      finish(pen, 0, colour);
    },
    words(pen, x, y, size, width, colour, words) {
      pen.globalAlpha = 1;
      pen.fillStyle = "#" + colour;
      pen.font = `bold ${size}px Arial, "Liberation Sans", sans-serif`;
      pen.textAlign = "center";
      pen.fillText(words, x + width / 2, y, width);
    },
    image(pen, left, top, size, name, alpha) {
      pen.globalAlpha = alpha;
      if (images[name].complete) pen.drawImage(images[name], left, top, size, size);
    },
    clip(pen, ...box) {
      pen.restore();
      pen.save();
      if (!box.length) return;
      pen.beginPath();
      pen.rect(...box);
      pen.clip();
    },
  };

  function finish(pen, thick, colour) {
    if (thick) {
      pen.lineWidth = thick;
      pen.strokeStyle = "#" + colour;
      pen.stroke();
    } else {
      pen.fillStyle = "#" + colour;
      pen.fill();
    }
  }

  // Frames hold what changes from one to the next: so many commands as before at both ends, and those between.
  function unpacked(frames) {
    const whole = [];
    for (const [head, tail, ...between] of frames) {
      const before = whole.length ? whole[whole.length - 1] : [];
      whole.push([...before.slice(0, head), ...between, ...before.slice(before.length - tail)]);
    }
    return whole;
  }

  class Player {
    constructor(figure) {
      this.figure = figure;
      this.game = data.games[figure.dataset.game];
      this.episode = this.game.episodes[figure.dataset.episode];
      this.frames = unpacked(this.episode.frames);
      [this.canvas, this.button, this.slider, this.speed, this.now] =
        ["canvas", "button", "input", "select", ".now"].map((name) => figure.querySelector(name));
      this.button.addEventListener("click", () => (this.timer ? this.pause() : this.play()));
      this.slider.addEventListener("input", () => {
        this.pause();
        this.show(Number(this.slider.value));
      });
      this.last = this.frames.length - 1;
      this.show(this.last > 1 ? 0 : this.last); // of a game of one step, what was played
      this.pause();
      new ResizeObserver(() => this.draw()).observe(this.canvas);
    }

    play(from = this.step < this.last ? this.step : 0) {
      clearTimeout(this.timer);
      this.show(from);
      this.button.textContent = "Pause";
      this.figure.dataset.state = "playing";
      this.wait();
    }

    pause() {
      clearTimeout(this.timer);
      this.timer = 0;
      this.button.textContent = "Play";
      this.figure.dataset.state = "paused";
    }

    wait() {
      this.timer = setTimeout(() => {
        this.show(this.step + 1);
        if (this.step < this.last) this.wait();
        else this.pause();
      }, 1000 / Number(this.speed.value));
    }

    show(step) {
      this.step = Math.min(step, this.last);
      this.slider.value = this.step;
      this.figure.dataset.step = this.step;
      const said = this.words();
      this.now.textContent = said;
      this.slider.setAttribute("aria-valuetext", said);
      this.draw();
    }

    words() {
      const { actions, rewards, returns, ending } = this.episode;
      const k = this.step - 1;
      if (k < 0) return `The start, before step 1 of ${this.last}.`;
      const names = actions[k].slice(0, 12).map((action, i) => `${i}\u00a0${this.game.actionNames[action]}`);
      if (actions[k].length > 12) names.push("…");
      const end = this.step === this.last ? `; ${ending}` : "";
      return `Step ${this.step} of ${this.last}: reward ${rewards[k]}, return ${returns[k]}${end}. Actions: ${names.join(", ")}.`;
    }

    draw() {
      const side = this.game.side;
      const pixels = Math.min(side, Math.round(this.canvas.clientWidth * Math.min(window.devicePixelRatio || 1, 2)));
      if (this.canvas.width !== pixels) this.canvas.width = this.canvas.height = pixels;
      const pen = this.canvas.getContext("2d");
      pen.setTransform(pixels / side, 0, 0, pixels / side, 0, 0);
      pen.globalAlpha = 1;
      pen.fillStyle = "#ffffff";
      pen.fillRect(0, 0, side, side);
      pen.save();
      for (const number of this.frames[this.step]) {
        const [kind, ...how] = this.game.commands[number];
        draw[kind](pen, ...how);
      }
      pen.restore();
    }
  }

  for (const [name, address] of Object.entries(data.sprites)) {
    images[name] = new Image();
    images[name].addEventListener("load", () => players.forEach((player) => player.draw()));
    images[name].src = address;
  }
  const players = [...document.querySelectorAll(".player")].map((figure) => new Player(figure));
  for (const button of document.querySelectorAll(".all")) {
    const together = players.filter((player) => player.figure.dataset.game === button.dataset.game);
    button.addEventListener("click", () => together.forEach((player) => player.play(0)));
  }
})();
